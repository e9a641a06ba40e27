package identity

import (
	"context"
	"os"
)

// Verified is how many passwords were held against a hash.
func (s *Service) Verified() int64 { return s.hasher.count.Load() }

// SecondFactorBy sets who checks codes.
func (s *Service) SecondFactorBy(f func(ctx context.Context, tenant int32, user int64, code string) (bool, error)) {
	s.hooks.secondFactor = f
}

// CutHandle and CutKey read what anybody may send.
var (
	CutHandle  = cutHandle
	CutKey     = cutKey
	CodeTenant = codeTenant
)

// Breached reports whether the password is in a file's list, or the program's own.
func Breached(path, password string) (bool, error) {
	b, err := openBreached(path)
	if err != nil {
		return false, err
	}
	if f, ok := b.file.(*os.File); ok {
		defer func() { _ = f.Close() }()
	}
	return b.holds(password)
}

// SendDue sends a tenant's mail that may go out now.
func (s *Service) SendDue(ctx context.Context, tenant int32) error { return s.sendDue(ctx, tenant) }

// ReadMark reads a browser's mark as the service does, and writes it again; "" for what is none.
func ReadMark(tenant int32, raw string) string {
	if m := readMark(tenant, raw); m != nil {
		return m.String()
	}
	return ""
}
