package record

import (
	"encoding/binary"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// sealFor seals bytes by the newest version of the tenant's key, as [Ledger.Seal] does.
func (k *tenantKeys) sealFor(what string, plain []byte) ([]byte, error) {
	num, key := k.newest()
	return key.Seal(binary.AppendUvarint([]byte(sealMark), uint64(keyVersion(num))), plain, ledgerData(what)), nil
}

// audit is the entry of the set of changes that made the versions.
func (p *plan) audit(made []VersionRow) AuditRow {
	c := &p.caller
	e := audit.Entry{
		ID: made[0].Seq, Tenant: c.Tenant, Kind: audit.Rest, Action: p.action(), Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session,
		Purpose: c.Purpose, Address: c.Address, Request: c.RequestID, Count: len(made),
	}
	if len(made) == 1 {
		if len(p.changes) == 1 {
			e.Action = opNames[made[0].Op] // an update that found nothing is a creation
		}
		e.Type, e.Num, e.VID = def.ByNum(made[0].Type).Name, made[0].Num, made[0].VID
	}
	for i := range made {
		if n := made[i].KeyNum; n > 0 { // the key is its patient's
			e.Patients = append(e.Patients, n)
		}
	}
	row, _ := audit.Encode(&e, p.keys.sealFor) // which never fails
	return row
}

// oldAudit is the table of backups from before the audit was sealed.
var oldAudit = Table{"audit", []string{"tenant", "id", "who", "action", "changes", "request", "address"}}

const insertOldAudit = "INSERT INTO audit_entry (tenant, pos, id, kind, outcome, action, who, num, vid, count, body) VALUES ($1, 0, $2, 1, 0, $3, $4, 0, 0, $5, $6)"

// fromOldAudit makes the arguments of insertOldAudit of a row of oldAudit.
func fromOldAudit(t Table, row []any) []any {
	of := map[string]any{}
	for i, c := range t.Columns {
		of[c] = row[i]
	}
	request, _ := of["request"].(string)
	address, _ := of["address"].(string)
	return []any{of["tenant"], of["id"], of["action"], of["who"], of["changes"], []byte("\x00" + request + "\x00" + address)}
}
