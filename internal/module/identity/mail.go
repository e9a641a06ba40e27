package identity

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web"
)

// What one-time codes are for, and how long they are good.
const (
	forReset  = "reset"
	forVerify = "verify"
	forInvite = "invite"
	forLink   = "link"

	resetLife  = 30 * time.Minute
	verifyLife = 3 * 24 * time.Hour
	inviteLife = 7 * 24 * time.Hour
)

// The outbox: how often it is looked at, how long one delivery may take, and how long a letter waits after a failure, first and at most.
const (
	outboxEvery = 3 * time.Second
	sendWithin  = time.Minute
	claimFor    = 2 * sendWithin // no other process takes the letter for that long
	firstWait   = time.Minute
	longestWait = 6 * time.Hour
	batch       = 20
)

// joinAccounts adds second factors, resets, verified addresses, invitations, and the mail that they need.
func (s *Service) joinAccounts() {
	s.hooks.secondFactor = s.useCode
	s.hooks.routes = append(s.hooks.routes, s.accountRoutes)
}

// accountTables are their tables, for backups: codes that were sent go on after a restore, and mail that waits.
func accountTables() []record.Table {
	who := []string{"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}
	return []record.Table{
		{Name: "identity_code", Columns: []string{"tenant", "hash", "purpose", "user_id", "email", "expires_at", "used_at", "created_by", "created_at"}},
		{Name: "identity_mfa", Columns: append([]string{"tenant", "user_id", "secret", "active", "step"}, who...)},
		{Name: "identity_recovery", Columns: []string{"tenant", "user_id", "hash", "used_at", "created_by", "created_at"}},
		{Name: "identity_mail", Columns: append([]string{"tenant", "id", "user_id", "purpose", "body", "tries", "next_at", "expires_at", "sent_at", "error"}, who...)},
	}
}

// letter is what of a mail is sealed.
type letter struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	SMS     bool   `json:"sms,omitempty"` // it goes to a phone
}

func letterPlace(id int64) string { return "identity.mail/" + strconv.FormatInt(id, 10) }

// templates are the texts: by purpose, English and Arabic. {link} and {code} are put in.
var templates = map[string]struct{ path, subject, text, subjectAr, textAr string }{
	forReset: {"/reset-password", "Choose a new password",
		"Somebody, probably you, asked for a new password for your nilecare account. To choose one, open this link within 30 minutes:\n\n{link}\n\n" +
			"Or enter this code:\n\n{code}\n\nIf it was not you, do nothing: your password stays as it is.\n",
		"اختيار كلمة مرور جديدة",
		"طلب شخص ما، ولعله أنت، كلمة مرور جديدة لحسابك في نايل كير. لاختيارها افتح هذا الرابط خلال 30 دقيقة:\n\n{link}\n\n" +
			"أو أدخل هذا الرمز:\n\n{code}\n\nإذا لم تكن أنت فلا تفعل شيئًا، وستبقى كلمة مرورك كما هي.\n"},
	forVerify: {"/verify-email", "Confirm your e-mail address",
		"To confirm that this address is yours, open this link within three days:\n\n{link}\n\nOr enter this code:\n\n{code}\n\n" +
			"If you have no nilecare account, ignore this mail.\n",
		"تأكيد عنوان بريدك الإلكتروني",
		"لتأكيد أن هذا العنوان لك، افتح هذا الرابط خلال ثلاثة أيام:\n\n{link}\n\nأو أدخل هذا الرمز:\n\n{code}\n\n" +
			"إذا لم يكن لديك حساب في نايل كير فتجاهل هذه الرسالة.\n"},
	forInvite: {"/accept-invitation", "Your nilecare account",
		"An account was made for you. To choose your password and begin, open this link within seven days:\n\n{link}\n\nOr enter this code:\n\n{code}\n",
		"حسابك في نايل كير",
		"تم إنشاء حساب لك. لاختيار كلمة المرور والبدء، افتح هذا الرابط خلال سبعة أيام:\n\n{link}\n\nأو أدخل هذا الرمز:\n\n{code}\n"},
	forLink: {"", "Your code for your health record",
		"Somebody, probably you, wants to see your health record at the clinic online. To allow it, enter this code within 30 minutes, signed in to the account " +
			"that asked:\n\n{code}\n\nIf it was not you, do nothing: nobody sees your record by this. Please tell the clinic.\n",
		"رمزك للاطلاع على سجلك الصحي",
		"طلب شخص ما، ولعله أنت، الاطلاع على سجلك الصحي في العيادة عبر الإنترنت. للسماح بذلك أدخل هذا الرمز خلال 30 دقيقة في الحساب الذي طلبه:" +
			"\n\n{code}\n\nإذا لم تكن أنت فلا تفعل شيئًا، فلن يطّلع أحد على سجلك بهذا. ويرجى إبلاغ العيادة.\n"},
}

// compose writes a letter in the user's language: Arabic, or English for all others.
func (s *Service) compose(u *User, purpose, code string) letter {
	t := templates[purpose]
	put := strings.NewReplacer("{link}", strings.TrimSuffix(s.o.Issuer(u.Tenant), "/")+t.path+"?token="+url.QueryEscape(code), "{code}", code)
	if arabic(u) {
		return letter{To: u.Email, Subject: t.subjectAr, Text: put.Replace(t.textAr)}
	}
	return letter{To: u.Email, Subject: t.subject, Text: put.Replace(t.text)}
}

func arabic(u *User) bool {
	lang := strings.ToLower(u.Locale)
	return lang == "ar" || strings.HasPrefix(lang, "ar-") || strings.HasPrefix(lang, "ar_")
}

// issue makes a one-time code and the letter that brings it: the function that it returns writes both in a transaction, and id is the letter's.
func (s *Service) issue(ctx context.Context, u *User, purpose string, life time.Duration) (put func(sqldb.Tx) error, id int64, err error) {
	raw := newCode(u.Tenant)
	now := s.now()
	queue, id, err := s.queue(ctx, u, purpose, s.compose(u, purpose, raw), now.Add(life), true)
	if err != nil {
		return nil, 0, err
	}
	email, err := s.blindEmail(ctx, u.Tenant, u.Email)
	if err != nil {
		return nil, 0, err
	}
	return func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO identity_code (tenant, hash, purpose, user_id, email, expires_at, used_at, created_by, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8)`, u.Tenant, sum(raw), purpose, u.ID, email, now.Add(life).UnixMicro(), by(ctx), now.UnixMicro()); err != nil {
			return err
		}
		return queue(tx)
	}, id, nil
}

// queue makes a letter: the function that it returns puts it into the outbox in a transaction. One that is not to be sent is written as taken out: the
// work is the same, so that time does not tell which it was.
func (s *Service) queue(ctx context.Context, u *User, purpose string, l letter, until time.Time, send bool) (put func(sqldb.Tx) error, id int64, err error) {
	id = s.ledger.Next()
	plain, err := json.Marshal(l)
	if err != nil {
		return nil, 0, err
	}
	body, err := s.ledger.Seal(ctx, u.Tenant, letterPlace(id), plain)
	if err != nil {
		return nil, 0, err
	}
	now, gone := s.now().UnixMicro(), int64(0)
	if !send {
		body, gone = []byte{}, now
	}
	return func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO identity_mail (tenant, id, user_id, purpose, body, tries, next_at, expires_at, sent_at, error,
			created_by, created_at, updated_by, updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, 0, '', $8, $6, $8, $6, $9)`,
			u.Tenant, id, u.ID, purpose, body, now, until.UnixMicro(), by(ctx), gone)
		return err
	}, id, nil
}

// send issues a code in a transaction of its own.
func (s *Service) send(ctx context.Context, u *User, purpose string, life time.Duration) error {
	put, _, err := s.issue(ctx, u, purpose, life)
	if err != nil {
		return err
	}
	return s.ledger.Update(ctx, u.Tenant, put)
}

// newCode is 256 random bits, and the tenant where they are known.
func newCode(tenant int32) string { return secret(strconv.Itoa(int(tenant)) + ".") }

// codeTenant reads the tenant of a code; 0 for what is none, or is another's than asked (0: nobody asked).
func codeTenant(asked int32, raw string) int32 {
	t, rest, ok := strings.Cut(raw, ".")
	n, err := strconv.ParseInt(t, 10, 32)
	if !ok || err != nil || n <= 0 || len(rest) != 43 || asked != 0 && int64(asked) != n {
		return 0
	}
	return int32(n)
}

func errCode() error {
	return fault.At(fault.Invalid, "token", "the link is not valid, too old, or was used already").WithCode("INVALID_TOKEN")
}

// codeOwner returns the user of a code that is still good: errCode where it is not, or its address is not the user's any longer.
func (s *Service) codeOwner(ctx context.Context, asked int32, purpose, raw string) (*User, error) {
	tenant := codeTenant(asked, raw)
	if tenant == 0 {
		return nil, errCode()
	}
	if s.hooks.tenant != nil {
		if err := s.hooks.tenant(ctx, tenant); err != nil {
			return nil, err
		}
	}
	var id int64
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		id = 0
		_, err := sqldb.QueryRow(ctx, q, []any{&id}, `SELECT c.user_id FROM identity_code c JOIN identity_user u ON u.tenant = c.tenant AND u.id = c.user_id
			AND u.email = c.email AND u.deleted_at = 0 WHERE c.tenant = $1 AND c.hash = $2 AND c.purpose = $3 AND c.used_at = 0 AND c.expires_at > $4`,
			tenant, sum(raw), purpose, s.now().UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, errCode()
	}
	u, err := s.User(ctx, tenant, id)
	if fault.Is(err, fault.NotFound) {
		return nil, errCode()
	}
	return u, err
}

// useUp uses a code up in a transaction, and voids the user's others for the same; errCode where somebody was faster.
func (s *Service) useUp(ctx context.Context, tx sqldb.Tx, u *User, purpose, raw string) error {
	now := s.now().UnixMicro()
	n, err := tx.Exec(ctx, `UPDATE identity_code SET used_at = $5 WHERE tenant = $1 AND hash = $2 AND purpose = $3 AND user_id = $4 AND used_at = 0 AND expires_at > $5`,
		u.Tenant, sum(raw), purpose, u.ID, now)
	if err != nil {
		return err
	}
	if n == 0 {
		return errCode()
	}
	return s.void(ctx, tx, u, purpose)
}

// void takes back the user's codes for a purpose, with the letters that bring them.
func (s *Service) void(ctx context.Context, tx sqldb.Tx, u *User, purpose string) error {
	now := s.now().UnixMicro()
	if _, err := tx.Exec(ctx, "UPDATE identity_code SET used_at = $4 WHERE tenant = $1 AND user_id = $2 AND purpose = $3 AND used_at = 0",
		u.Tenant, u.ID, purpose, now); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE identity_mail SET deleted_at = $4, updated_at = $4, updated_by = $5, body = $6
		WHERE tenant = $1 AND user_id = $2 AND purpose = $3 AND sent_at = 0 AND deleted_at = 0`, u.Tenant, u.ID, purpose, now, by(ctx), []byte{})
	return err
}

// RunOutbox sends what waits, until ctx ends. Without [Options].Mail mail waits, and administrators read it in the outbox.
// A letter goes out once the server took it; where the program stops between that and its noting so, it goes twice.
func (s *Service) RunOutbox(ctx context.Context) {
	if s.o.Mail == nil && s.o.SMS == nil {
		return
	}
	tick := time.NewTicker(outboxEvery)
	defer tick.Stop()
	for {
		for _, tenant := range s.mailTenants(ctx) {
			if err := s.sendDue(ctx, tenant); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "mail was not sent", "tenant", tenant, "kind", fault.KindOf(err).String())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// mailTenants are the tenants whose mail goes out.
func (s *Service) mailTenants(ctx context.Context) []int32 {
	out := []int32{firstTenant}
	all, err := s.Tenants(access.With(ctx, systemFor(ctx, firstTenant)))
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "the tenants cannot be read: mail of the first alone is sent", "kind", fault.KindOf(err).String())
	}
	for _, t := range all {
		if t.Status == TenantActive {
			out = append(out, t.ID)
		}
	}
	return out
}

// Waiting is a letter in the outbox.
type Waiting struct {
	ID, User      int64
	Purpose       string // reset, verify, invite, link
	To            string
	Subject, Text string // Text is "" where the caller may not act in the user's place
	Withheld      bool
	Tries         int
	Error         string // the kind of the last failure; "" before the first
	Created, Next time.Time
	Expires       time.Time
	next          int64
	body          []byte
	tenant        int32
}

// waitingMail reads what waits, oldest first; due says that only what may go out now is meant.
func (s *Service) waitingMail(ctx context.Context, tenant int32, due bool, most int) (out []*Waiting, err error) {
	now := s.now().UnixMicro()
	from := now
	if !due {
		from = now + int64(365*24*time.Hour/time.Microsecond)
	}
	err = s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			m := &Waiting{tenant: tenant}
			var created, expires int64
			err := r.Scan(&m.ID, &m.User, &m.Purpose, &m.body, &m.Tries, &m.next, &expires, &m.Error, &created)
			m.body, m.Created, m.Next, m.Expires = slices.Clone(m.body), at(created), at(m.next), at(expires)
			out = append(out, m)
			return err
		}, `SELECT id, user_id, purpose, body, tries, next_at, expires_at, error, created_at FROM identity_mail
			WHERE tenant = $1 AND sent_at = 0 AND deleted_at = 0 AND expires_at > $2 AND next_at <= $3 ORDER BY id LIMIT $4`, tenant, now, from, most)
	})
	return out, err
}

func (s *Service) openLetter(ctx context.Context, m *Waiting) (l letter, err error) {
	plain, err := s.ledger.Open(ctx, m.tenant, letterPlace(m.ID), m.body)
	if err == nil {
		err = json.Unmarshal(plain, &l)
	}
	return l, err
}

// sendDue sends what may go out now.
func (s *Service) sendDue(ctx context.Context, tenant int32) error {
	due, err := s.waitingMail(ctx, tenant, true, batch)
	if err != nil {
		return err
	}
	for _, m := range due {
		if err := s.sendOne(ctx, tenant, m); err != nil {
			return err
		}
	}
	return nil
}

// sendOne takes a letter, so that no other process sends it too, and sends it. A delivery that fails is no error: it is tried again later.
func (s *Service) sendOne(ctx context.Context, tenant int32, m *Waiting) error {
	l, err := s.openLetter(ctx, m)
	if err != nil {
		return err
	}
	if l.SMS && s.o.SMS == nil || !l.SMS && s.o.Mail == nil {
		// Nobody can take it: it does not stand in the way of others meanwhile.
		_, err = s.mark(ctx, tenant, "next_at = $3", "AND next_at = $4", m.ID, s.now().Add(firstWait).UnixMicro(), m.next)
		return err
	}
	claimed, err := s.mark(ctx, tenant, "next_at = $3, tries = tries + 1", "AND next_at = $4", m.ID, s.now().Add(claimFor).UnixMicro(), m.next)
	if err != nil || !claimed {
		return err
	}
	within, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	if err := s.deliver(within, l); err != nil {
		wait := firstWait
		for range m.Tries {
			wait = min(2*wait, longestWait)
		}
		// The program may be stopping: what became of the letter is noted all the same.
		_, err = s.mark(context.WithoutCancel(ctx), tenant, "next_at = $3, error = $4", "", m.ID, s.now().Add(wait).UnixMicro(), kindOfMailError(err))
		return err
	}
	_, err = s.mark(context.WithoutCancel(ctx), tenant, "sent_at = $3, error = '', body = $4", "", m.ID, s.now().UnixMicro(), []byte{})
	return err
}

func (s *Service) deliver(ctx context.Context, l letter) error {
	if l.SMS {
		return s.o.SMS.Text(ctx, l.To, l.Text)
	}
	return s.o.Mail.Send(ctx, l.To, l.Subject, l.Text)
}

func (s *Service) mark(ctx context.Context, tenant int32, set, where string, args ...any) (bool, error) {
	n := int64(0)
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "UPDATE identity_mail SET "+set+" WHERE tenant = $1 AND id = $2 AND sent_at = 0 AND deleted_at = 0 "+where,
			append([]any{tenant}, args...)...)
		return err
	})
	return n > 0, err
}

// kindOfMailError says what went wrong without a word of the server's: those have addresses in them.
func kindOfMailError(err error) string {
	var said *textproto.Error
	var slow net.Error
	switch {
	case errors.As(err, &said):
		return "refused by the mail server: " + strconv.Itoa(said.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return "the mail server did not answer in time"
	case fault.Is(err, fault.Invalid):
		return "the address or the subject cannot be mailed"
	case fault.Is(err, fault.Unavailable):
		return "the mail server offers no safe connection"
	}
	return "the mail server cannot be reached"
}

// Outbox returns what waits to be sent, oldest first, 200 letters at most. A letter lets its reader act in the addressee's place: its text is for
// those alone who may do all that the addressee may.
func (s *Service) Outbox(ctx context.Context, tenant int32) ([]*Waiting, error) {
	if c := access.From(ctx); !c.Permits("users:update") {
		return nil, fault.New(fault.Forbidden, "this needs the permission users:update")
	}
	all, err := s.waitingMail(ctx, tenant, false, 200)
	if err != nil {
		return nil, err
	}
	out := all[:0]
	for _, m := range all {
		u, err := s.User(ctx, tenant, m.User)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l, err := s.openLetter(ctx, m)
		if err != nil {
			return nil, err
		}
		m.To, m.Subject, m.Text = l.To, l.Subject, l.Text
		if s.mayManage(ctx, u) != nil {
			m.Text, m.Withheld = "", true
		}
		out = append(out, m)
	}
	if len(out) > 0 {
		s.admin(ctx, tenant, "read", "Mail", 0, "letters that wait: "+strconv.Itoa(len(out)))
	}
	return out, nil
}

// DropMail takes a letter out of the outbox; NotFound where it does not wait.
func (s *Service) DropMail(ctx context.Context, tenant int32, id int64) error {
	if c := access.From(ctx); !c.Permits("users:update") {
		return fault.New(fault.Forbidden, "this needs the permission users:update")
	}
	found, err := s.mark(ctx, tenant, "deleted_at = $3, updated_at = $3, updated_by = $4, body = $5", "", id, s.now().UnixMicro(), by(ctx), []byte{})
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "there is no such letter")
	}
	s.admin(ctx, tenant, "delete", "Mail", id, "")
	return nil
}

// mayAsk counts what somebody asks for that sends mail: more than most within the window are TooMany. value is who, or whom it is for.
func (s *Service) mayAsk(ctx context.Context, tenant int32, what, value string, most int64, window time.Duration) error {
	subject, err := s.ledger.Blind(ctx, tenant, "identity.ask."+what, value)
	if err != nil {
		return err
	}
	now := s.now()
	var a attempts
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		if err := tx.Lock(ctx, lockOf("ask"+string(subject), tenant, 0)); err != nil {
			return err
		}
		if a, err = readAttempts(ctx, tx, tenant, subject); err != nil {
			return err
		}
		if now.Sub(at(a.failed)) >= window {
			a = attempts{failed: now.UnixMicro()}
		}
		a.failures++
		if a.failures > most {
			return nil
		}
		_, err = tx.Exec(ctx, `INSERT INTO identity_attempt (tenant, subject, failures, locks, failed_at, locked_until) VALUES ($1, $2, $3, 0, $4, 0)
			ON CONFLICT (tenant, subject) DO UPDATE SET failures = EXCLUDED.failures, failed_at = EXCLUDED.failed_at`, tenant, subject, a.failures, a.failed)
		return err
	})
	if err == nil && a.failures > most {
		err = web.Later(fault.New(fault.TooMany, "asked for too often: wait a while"), at(a.failed).Add(window).Sub(now))
	}
	return err
}
