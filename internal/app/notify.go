package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/notification"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/module/webhook"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web"
)

// reached tells the notifications how users are reached.
type reached struct{ people *identity.Service }

// Contact implements notification.People.
func (r reached) Contact(ctx context.Context, tenant int32, user int64) (notification.Contact, error) {
	u, err := r.people.User(ctx, tenant, user)
	if err != nil {
		return notification.Contact{}, err
	}
	return notification.Contact{Active: u.Status == identity.Active, Email: u.Email, Phone: u.Phone, Language: u.Locale}, nil
}

// UserOf implements notification.People.
func (r reached) UserOf(ctx context.Context, tenant int32, patient string) (int64, error) {
	return r.people.UserOf(ctx, tenant, patient)
}

// texts returns what sends text messages; nil where no gateway is named: then they wait in the outbox.
func (p *Program) texts() (*notification.Texts, error) {
	if p.cfg.SMS == "" {
		return nil, nil
	}
	u, err := url.Parse(p.cfg.SMS)
	if err != nil {
		return nil, fmt.Errorf("sms: the URL cannot be read")
	}
	g := notification.Gateway{From: p.cfg.SMSFrom, Body: p.cfg.SMSBody, Header: p.cfg.SMSHeader}
	if u.User != nil {
		found, err := p.secrets(web.WantedSecret{Name: "SMS_PASSWORD"})
		if err != nil {
			return nil, err
		}
		g.User, g.Password = u.User.Username(), string(found["SMS_PASSWORD"])
		u.User = nil
	} else {
		found, err := p.secrets(web.WantedSecret{Name: "SMS_TOKEN", Optional: true})
		if err != nil {
			return nil, err
		}
		g.Token = string(found["SMS_TOKEN"])
	}
	g.URL = u.String()
	t, err := notification.NewTexts(g)
	if err != nil {
		return nil, fmt.Errorf("sms: %w", err)
	}
	return t, nil
}

// carriers adds what mail and text messages go out by; without one they wait.
func (p *Program) carriers(o *notification.Options) error {
	mail, err := p.mailer()
	if err != nil {
		return err
	}
	if mail != nil {
		o.Mail = mail
	}
	texts, err := p.texts()
	if err != nil {
		return err
	}
	if texts != nil {
		o.SMS = texts
	}
	return nil
}

// webhookDisabled tells who made a webhook that the program disabled it.
func (c *care) webhookDisabled(log *slog.Logger) func(context.Context, webhook.Disabled) {
	return func(ctx context.Context, d webhook.Disabled) {
		if d.User == 0 {
			return
		}
		about, err := json.Marshal(map[string]string{"webhookId": d.Webhook})
		if err == nil {
			_, err = c.notify.Send(ctx, d.Tenant, notification.Message{Key: "webhook.disabled/" + d.Webhook + "/" + strconv.FormatInt(d.At.UnixMicro(), 10), Channel: notification.WebSocket,
				User: d.User, Type: "webhook.disabled", Priority: "high", Payload: about, Title: "A webhook was disabled", Body: "Webhook " + d.Webhook + ": " + d.Reason,
				TitleAr: "تم تعطيل خطاف ويب", BodyAr: "خطاف الويب " + d.Webhook + ": " + d.Reason})
		}
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "nobody could be told that a webhook was disabled", "tenant", d.Tenant, "webhook", d.Webhook, "error", err.Error())
		}
	}
}

// forget deletes what people and other programs were told of a patient who is erased, and what the patient likes.
func forget(ctx context.Context, l *record.Ledger, patient string) error {
	tenant := access.From(ctx).Tenant
	return errors.Join(notification.Forget(ctx, l, tenant, patient), webhook.Forget(ctx, l, tenant, patient), scheduling.Forget(ctx, l, tenant, patient))
}
