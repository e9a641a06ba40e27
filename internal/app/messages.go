package app

import (
	"context"

	"github.com/nilecare/nilecare/internal/module/notification"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// carrying hands what the appointment service tells patients to the notification service.
type carrying struct{ to *notification.Service }

// Prepare implements scheduling.Messages.
func (c carrying) Prepare(ctx context.Context, tenant int32, m scheduling.Message) (any, error) {
	return c.to.Prepare(ctx, tenant, notification.Message{Key: m.Key, Channel: m.Channel, Patient: m.Patient, Type: m.Type, Title: m.Title, Body: m.Body, TitleAr: m.TitleAr, BodyAr: m.BodyAr,
		Link: m.Link, Until: m.Until})
}

// Put implements scheduling.Messages.
func (c carrying) Put(ctx context.Context, tx sqldb.Tx, tenant int32, prepared any) error {
	return c.to.Put(ctx, tx, tenant, prepared.(notification.Prepared))
}
