package facility

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Settings are what a facility has set, or the program's own values.
type Settings struct {
	Timezone                   string `json:"timezone"`
	DateFormat                 string `json:"dateFormat"`
	TimeFormat                 string `json:"timeFormat"`
	Language                   string `json:"language"`
	Currency                   string `json:"currency"`
	DefaultAppointmentDuration int    `json:"defaultAppointmentDuration" doc:"minutes"`
	AllowWalkIns               bool   `json:"allowWalkIns"`
	MaxAdvanceBookingDays      int    `json:"maxAdvanceBookingDays"`
	CancellationNoticePeriod   int    `json:"cancellationNoticePeriod" doc:"hours"`
	EmailNotificationsEnabled  bool   `json:"emailNotificationsEnabled"`
	SMSNotificationsEnabled    bool   `json:"smsNotificationsEnabled"`
	AppointmentReminderHours   []int  `json:"appointmentReminderHours"`
	AutomaticBedRelease        bool   `json:"automaticBedRelease" doc:"a bed that was cleaned becomes available by itself"`
	BedCleaningDuration        int    `json:"bedCleaningDuration" doc:"minutes"`
}

// defaults are the settings of a facility that has set none.
func defaults() Settings {
	return Settings{Timezone: "Africa/Khartoum", DateFormat: "DD/MM/YYYY", TimeFormat: "24h", Language: "ar", Currency: "SDG", DefaultAppointmentDuration: 30, AllowWalkIns: true,
		MaxAdvanceBookingDays: 90, CancellationNoticePeriod: 24, EmailNotificationsEnabled: true, SMSNotificationsEnabled: true, AppointmentReminderHours: []int{24, 2},
		AutomaticBedRelease: true, BedCleaningDuration: 30}
}

// settingsOf reads a facility's settings by its FHIR id.
func settingsOf(ctx context.Context, q sqldb.Querier, tenant int32, facility string) (Settings, error) {
	s := defaults()
	var text string
	found, err := sqldb.QueryRow(ctx, q, []any{&text}, "SELECT settings FROM facility_setting WHERE tenant = $1 AND facility = $2", tenant, facility)
	if err == nil && found {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// Settings returns a facility's settings by its id of the product API, as the program itself: it is for the use of other modules. Of a facility that has set
// none, or that there is not, they are the program's own.
func (s *Service) Settings(ctx context.Context, facilityID string) (Settings, error) {
	id, err := s.Records.FHIRID(ctx, "Organization", facilityID)
	if err != nil {
		return Settings{}, err
	}
	var out Settings
	tenant := access.From(ctx).Tenant
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) { out, err = settingsOf(ctx, q, tenant, id); return err })
	return out, err
}

// Zone returns the zone that a facility's clocks show, by its id of the product API; Africa/Khartoum where it has set none, or facilityID is "".
func (s *Service) Zone(ctx context.Context, facilityID string) (*time.Location, error) {
	if facilityID == "" {
		return flat.DefaultZone(), nil
	}
	set, err := s.Settings(ctx, facilityID)
	if err != nil {
		return nil, err
	}
	if set.Timezone == defaults().Timezone {
		return flat.DefaultZone(), nil
	}
	return time.LoadLocation(set.Timezone)
}

// settingsIn is what a request sets; what it leaves out stays as it is.
type settingsIn struct {
	Timezone                   *string `json:"timezone,omitempty"`
	DateFormat                 *string `json:"dateFormat,omitempty"`
	TimeFormat                 *string `json:"timeFormat,omitempty"`
	Language                   *string `json:"language,omitempty"`
	Currency                   *string `json:"currency,omitempty"`
	DefaultAppointmentDuration *int    `json:"defaultAppointmentDuration,omitempty"`
	AllowWalkIns               *bool   `json:"allowWalkIns,omitempty"`
	MaxAdvanceBookingDays      *int    `json:"maxAdvanceBookingDays,omitempty"`
	CancellationNoticePeriod   *int    `json:"cancellationNoticePeriod,omitempty"`
	EmailNotificationsEnabled  *bool   `json:"emailNotificationsEnabled,omitempty"`
	SMSNotificationsEnabled    *bool   `json:"smsNotificationsEnabled,omitempty"`
	AppointmentReminderHours   *[]int  `json:"appointmentReminderHours,omitempty"`
	AutomaticBedRelease        *bool   `json:"automaticBedRelease,omitempty"`
	BedCleaningDuration        *int    `json:"bedCleaningDuration,omitempty"`
}

func (in *settingsIn) check() error {
	bounds := []struct {
		name      string
		value     *int
		low, high int
	}{
		{"defaultAppointmentDuration", in.DefaultAppointmentDuration, 5, 240}, {"maxAdvanceBookingDays", in.MaxAdvanceBookingDays, 1, 365},
		{"cancellationNoticePeriod", in.CancellationNoticePeriod, 0, 720}, {"bedCleaningDuration", in.BedCleaningDuration, 5, 1440},
	}
	for _, b := range bounds {
		if b.value != nil && (*b.value < b.low || *b.value > b.high) {
			return fault.At(fault.Invalid, b.name, "must be from %d to %d", b.low, b.high).WithCode("value")
		}
	}
	if in.Timezone != nil {
		if _, err := time.LoadLocation(*in.Timezone); err != nil || *in.Timezone == "" || *in.Timezone == "Local" {
			return fault.At(fault.Invalid, "timezone", "is no name of the IANA time zones, such as Africa/Khartoum").WithCode("value")
		}
	}
	for _, one := range []struct {
		name  string
		value *string
		list  []string
	}{{"timeFormat", in.TimeFormat, []string{"12h", "24h"}}, {"language", in.Language, []string{"ar", "en"}}, {"currency", in.Currency, []string{"SDG", "USD"}},
		{"dateFormat", in.DateFormat, []string{"DD/MM/YYYY", "MM/DD/YYYY", "YYYY-MM-DD"}}} {
		if one.value == nil {
			continue
		}
		if *one.value == "" {
			return fault.At(fault.Invalid, one.name, "must not be empty").WithCode("value")
		}
		if err := oneOf(one.name, *one.value, one.list); err != nil {
			return err
		}
	}
	if h := in.AppointmentReminderHours; h != nil && (len(*h) > 10 || slices.ContainsFunc(*h, func(n int) bool { return n < 1 || n > 720 })) {
		return fault.At(fault.Invalid, "appointmentReminderHours", "must be at most ten numbers from 1 to 720").WithCode("value")
	}
	return nil
}

// set enters the changed settings of a facility, by its FHIR id, and returns all of them.
func (s *Service) set(ctx context.Context, facility string, in *settingsIn) (Settings, error) {
	if err := in.check(); err != nil {
		return Settings{}, err
	}
	caller := access.From(ctx)
	change, err := json.Marshal(in)
	if err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	var out Settings
	err = s.Ledger.Update(ctx, caller.Tenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, lockOf(caller.Tenant, "settings", facility)); err != nil {
			return err
		}
		var text string
		if _, err := sqldb.QueryRow(ctx, tx, []any{&text}, "SELECT settings FROM facility_setting WHERE tenant = $1 AND facility = $2", caller.Tenant, facility); err != nil {
			return err
		}
		merged := map[string]json.RawMessage{}
		for _, part := range []string{text, string(change)} {
			if part == "" {
				continue
			}
			if err := json.Unmarshal([]byte(part), &merged); err != nil {
				return err
			}
		}
		all, err := json.Marshal(merged)
		if err != nil {
			return err
		}
		out = defaults()
		if err := json.Unmarshal(all, &out); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO facility_setting (tenant, facility, settings, created_by, created_at, updated_by, updated_at) VALUES ($1, $2, $3, $4, $5, $4, $5)"+
			" ON CONFLICT (tenant, facility) DO UPDATE SET settings = excluded.settings, updated_by = excluded.updated_by, updated_at = excluded.updated_at",
			caller.Tenant, facility, string(all), caller.Who, s.Records.Now().UnixMicro())
		return err
	})
	return out, err
}
