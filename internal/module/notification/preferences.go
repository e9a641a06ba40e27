package notification

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// anyType stands for all types of a channel.
const anyType = "*"

// fixedTypes begin the types that nobody can switch off.
var fixedTypes = []string{"security.", "account."}

func fixed(typ string) bool {
	return slices.ContainsFunc(fixedTypes, func(begin string) bool { return strings.HasPrefix(typ, begin) })
}

// Preference is a user's wish.
type Preference struct {
	Channel string `json:"channel"`
	Type    string `json:"type"` // "*": all types of the channel that are not named
	Enabled bool   `json:"enabled"`
}

// preferences are a user's wishes as the product API tells them.
type preferences struct {
	Channels map[string]bool `json:"channels" doc:"whether messages come by the channel at all, but for the types below"`
	Types    []Preference    `json:"types" doc:"types that differ from their channel"`
	Fixed    []string        `json:"fixed" doc:"types that begin so cannot be switched off"`
}

// wanted reports whether a user wants messages of the type by the channel: the type's wish before the channel's before yes.
func (s *Service) wanted(ctx context.Context, tenant int32, user int64, channel, typ string) (bool, error) {
	if fixed(typ) {
		return true, nil
	}
	wanted, named := true, false
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		wanted, named = true, false
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var t string
			var enabled int64
			err := rows.Scan(&t, &enabled)
			if !named {
				wanted, named = enabled != 0, t == typ
			}
			return err
		}, "SELECT type, enabled FROM notification_preference WHERE tenant = $1 AND user_id = $2 AND channel = $3 AND (type = $4 OR type = '*') ORDER BY type DESC", tenant, user, channel, typ)
	})
	return wanted, err
}

func (s *Service) preferencesOf(ctx context.Context, tenant int32, user int64) (p preferences, err error) {
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		p = preferences{Channels: map[string]bool{}, Types: []Preference{}, Fixed: fixedTypes}
		for _, channel := range allChannels {
			p.Channels[channel] = true
		}
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var one Preference
			var enabled int64
			err := rows.Scan(&one.Channel, &one.Type, &enabled)
			one.Enabled = enabled != 0
			if one.Type == anyType {
				p.Channels[one.Channel] = one.Enabled
			} else {
				p.Types = append(p.Types, one)
			}
			return err
		}, "SELECT channel, type, enabled FROM notification_preference WHERE tenant = $1 AND user_id = $2 ORDER BY channel, type", tenant, user)
	})
	return p, err
}

// prefer checks and keeps wishes; those that are not named stay as they are.
func (s *Service) prefer(ctx context.Context, tenant int32, user int64, wishes []Preference) error {
	for _, w := range wishes {
		switch {
		case !slices.Contains(allChannels, w.Channel):
			return fault.At(fault.Invalid, "channel", "must be one of %s", strings.Join(allChannels, ", "))
		case w.Type != anyType && (len(w.Type) > 64 || !typeForm.MatchString(w.Type)):
			return fault.At(fault.Invalid, "type", "must be a type such as appointment.reminder")
		case !w.Enabled && fixed(w.Type):
			return fault.At(fault.Invalid, "type", "%s: messages about the safety of the account cannot be switched off", w.Type)
		}
	}
	now, who := s.now().UnixMicro(), access.From(ctx).Who
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		for _, w := range wishes {
			enabled := int64(0)
			if w.Enabled {
				enabled = 1
			}
			if _, err := tx.Exec(ctx, `INSERT INTO notification_preference (tenant, user_id, channel, type, enabled, created_by, created_at, updated_by, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7) ON CONFLICT (tenant, user_id, channel, type)
				DO UPDATE SET enabled = excluded.enabled, updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
				tenant, user, w.Channel, w.Type, enabled, who, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) getPreferences(w http.ResponseWriter, r *http.Request) error {
	c, err := self(r.Context())
	if err != nil {
		return err
	}
	p, err := s.preferencesOf(r.Context(), c.Tenant, c.User)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"preferences": p})
}

func (s *Service) putPreferences(w http.ResponseWriter, r *http.Request) error {
	c, err := self(r.Context())
	if err != nil {
		return err
	}
	var in preferencesIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Preferences != nil {
		in.Channels, in.Types = in.Preferences.Channels, in.Preferences.Types
	}
	wishes := in.Types
	for channel, enabled := range in.Channels {
		wishes = append(wishes, Preference{channel, anyType, enabled})
	}
	if len(wishes) == 0 {
		return fault.At(fault.Invalid, "channels", "nothing is wished: name channels, types, or both")
	}
	if len(wishes) > 200 {
		return fault.At(fault.Invalid, "types", "more than 200")
	}
	if err := s.prefer(r.Context(), c.Tenant, c.User, wishes); err != nil {
		return err
	}
	return s.getPreferences(w, r)
}

type preferencesIn struct {
	Channels    map[string]bool `json:"channels"`
	Types       []Preference    `json:"types"`
	Preferences *struct {
		Channels map[string]bool `json:"channels"`
		Types    []Preference    `json:"types"`
	} `json:"preferences,omitempty" doc:"the same, as the answer has it"`
}
