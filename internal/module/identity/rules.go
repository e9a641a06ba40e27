package identity

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // the form in which lists of breached passwords are published
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/nilecare/nilecare/internal/fault"
)

// The length of a password in characters (NIST SP 800-63B section 5.1.1.2 asks for 8 at least and lets 64 at least through).
const (
	MinPassword = 8
	MaxPassword = 128
)

// ownWord is how many characters of an address's first part, or of a user name, no password may contain.
const ownWord = 4

// normal is the one form of a password that is hashed: what looks the same is the same (NIST SP 800-63B section 5.1.1.2).
func normal(password string) string { return norm.NFC.String(password) }

// checkPasswordRules says why a password may not be the user's: Unprocessable, at newPassword. There are no rules of composition
// (NIST SP 800-63B section 5.1.1.2): they make passwords worse.
func (s *Service) checkPasswordRules(password string, u *User) error {
	bad := func(code, format string, args ...any) error {
		return fault.At(fault.Invalid, "password", format, args...).WithCode(code)
	}
	if !utf8.ValidString(password) || strings.ContainsRune(password, 0) {
		return bad("value", "the password is no valid text")
	}
	password = normal(password)
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		return bad("value", "the password must have at least %d characters", MinPassword)
	case n > MaxPassword:
		return bad("value", "the password must have at most %d characters", MaxPassword)
	}
	folded := strings.ToLower(password)
	if strings.Count(folded, folded[:1]) == len(folded) {
		return bad("value", "the password is one character again and again")
	}
	if u != nil {
		email, username := plainEmail(u.Email), plainEmail(u.Username)
		local, _, _ := strings.Cut(email, "@")
		for _, own := range []string{local, username} {
			// Shorter ones are parts of many words.
			if utf8.RuneCountInString(own) >= ownWord && strings.Contains(folded, own) {
				return bad("value", "the password must not contain the e-mail address or the user name")
			}
		}
		for _, own := range []string{email, local, username, plainEmail(u.FirstName + u.LastName), "nilecare"} {
			if own != "" && (folded == own || strings.Trim(folded, "0123456789!.?@#$%&*-_ ") == own) {
				return bad("value", "the password must not be the e-mail address or a name of the user or of the program")
			}
		}
	}
	known, err := s.breached.holds(password)
	if err != nil {
		return err
	}
	if known {
		return bad("value", "this password is known from breaches of other sites: choose another")
	}
	return nil
}

// commonText holds passwords of eight characters and more that are the most used: see common-passwords.txt's first lines for its origin.
//
//go:embed common-passwords.txt
var commonText string

// breached are passwords that everybody guesses first. The file has lines of an upper-case SHA-1 in hexadecimal, sorted, each with ":"
// and a count behind it or not, as haveibeenpwned.com's downloader writes them; it is searched by halving, so that it may be large.
type breached struct {
	common map[string]bool
	file   io.ReaderAt
	size   int64
}

func openBreached(path string) (*breached, error) {
	b := &breached{common: map[string]bool{}}
	lines := bufio.NewScanner(strings.NewReader(commonText))
	for lines.Scan() {
		if t := lines.Text(); t != "" && !strings.HasPrefix(t, "# ") {
			b.common[t] = true
		}
	}
	if path == "" {
		return b, lines.Err()
	}
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("identity: the file of breached passwords: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("identity: the file of breached passwords: %w", err)
	}
	b.file, b.size = f, info.Size()
	return b, lines.Err()
}

func (b *breached) holds(password string) (bool, error) {
	folded := strings.ToLower(password)
	if b.common[folded] || b.common[strings.TrimRight(folded, "0123456789!.?@#$%&*-_ ")] {
		return true, nil
	}
	if b.file == nil {
		return false, nil
	}
	h := sha1.Sum([]byte(password)) //nolint:gosec // as above
	return b.find(strings.ToUpper(hex.EncodeToString(h[:])))
}

// find looks for the line that begins with the hash.
func (b *breached) find(hash string) (bool, error) {
	var failed error
	// The first offset from which the next whole line is not before the hash.
	at := sort.Search(int(b.size), func(i int) bool {
		line, err := b.lineAfter(int64(i))
		if err != nil {
			failed = err
			return true
		}
		return line == "" || line >= hash
	})
	if failed != nil {
		return false, failed
	}
	line, err := b.lineAfter(int64(at))
	return err == nil && strings.HasPrefix(line, hash), err
}

// lineAfter returns the first line that begins at the offset or behind it, "" at the end.
func (b *breached) lineAfter(at int64) (string, error) {
	buf := make([]byte, 160)
	from := max(0, at-1)
	n, err := b.file.ReadAt(buf, from)
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("identity: the file of breached passwords: %w", err)
	}
	buf = buf[:n]
	if at > 0 {
		i := bytes.IndexByte(buf, '\n')
		if i < 0 {
			return "", nil
		}
		buf = buf[i+1:]
	}
	if i := bytes.IndexByte(buf, '\n'); i >= 0 {
		buf = buf[:i]
	}
	return strings.ToUpper(strings.TrimSpace(string(buf))), nil
}
