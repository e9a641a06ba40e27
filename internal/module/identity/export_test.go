package identity

// Verified is how many passwords were held against a hash.
func (s *Service) Verified() int64 { return s.hasher.count.Load() }
