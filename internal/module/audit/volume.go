package audit

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// volumeKey is a user's hour.
type volumeKey struct {
	tenant int32
	who    string
	hour   int64
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// spike is an hour in which a user read far more than is usual for them.
type spike struct {
	volumeKey
	count       int64
	mean, limit float64
}

// spikeFloor is how many records in an hour are never taken for a spike; baselineDays is how far back what is usual is looked for.
const (
	spikeFloor   = 500
	baselineDays = 30
)

// volume adds counts to what is kept, and returns the hours that have become spikes by it, each once.
func (s *Service) volume(ctx context.Context, counts map[volumeKey]int64) ([]spike, error) {
	byTenant := map[int32][]volumeKey{}
	for k := range counts {
		byTenant[k.tenant] = append(byTenant[k.tenant], k)
	}
	var out []spike
	for tenant, keys := range byTenant {
		slices.SortFunc(keys, func(a, b volumeKey) int { // one order for all processes, so that none waits for another who waits for it
			if a.who != b.who {
				if a.who < b.who {
					return -1
				}
				return 1
			}
			return int(a.hour - b.hour)
		})
		var found []spike
		err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
			found = found[:0]
			for _, k := range keys {
				sp, err := addVolume(ctx, tx, k, counts[k])
				if err != nil {
					return err
				}
				if sp != nil {
					found = append(found, *sp)
				}
			}
			_, err := tx.Exec(ctx, "DELETE FROM access_volume WHERE tenant = $1 AND hour < $2", tenant, hourOf(s.clock())-24*baselineDays-24)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			delete(counts, k) // so that a failure of the next tenant does not count these twice
		}
		out = append(out, found...)
	}
	return out, nil
}

func addVolume(ctx context.Context, tx sqldb.Tx, k volumeKey, n int64) (*spike, error) {
	if _, err := tx.Exec(ctx, "INSERT INTO access_volume (tenant, who, hour, count) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, who, hour) DO UPDATE SET count = access_volume.count + excluded.count",
		k.tenant, k.who, k.hour, n); err != nil {
		return nil, err
	}
	var sum, alerted int64
	if _, err := sqldb.QueryRow(ctx, tx, []any{&sum, &alerted}, "SELECT count, alerted FROM access_volume WHERE tenant = $1 AND who = $2 AND hour = $3", k.tenant, k.who, k.hour); err != nil {
		return nil, err
	}
	if sum <= spikeFloor || alerted != 0 {
		return nil, nil
	}
	var hours []float64
	if err := sqldb.Each(ctx, tx, func(rows sqldb.Rows) error {
		var c int64
		err := rows.Scan(&c)
		hours = append(hours, float64(c))
		return err
	}, "SELECT count FROM access_volume WHERE tenant = $1 AND who = $2 AND hour >= $3 AND hour < $4", k.tenant, k.who, k.hour-24*baselineDays, k.hour); err != nil {
		return nil, err
	}
	mean, limit := usual(hours)
	if float64(sum) <= limit {
		return nil, nil
	}
	_, err := tx.Exec(ctx, "UPDATE access_volume SET alerted = 1 WHERE tenant = $1 AND who = $2 AND hour = $3", k.tenant, k.who, k.hour)
	return &spike{k, sum, mean, limit}, err
}

// usual is the mean of the hours in which somebody read at all, and above what an hour is far from usual: three times the mean, and four
// standard deviations above it, and never below the floor.
func usual(hours []float64) (mean, limit float64) {
	if len(hours) == 0 {
		return 0, spikeFloor
	}
	for _, h := range hours {
		mean += h / float64(len(hours))
	}
	var square float64
	for _, h := range hours {
		square += (h - mean) * (h - mean) / float64(len(hours))
	}
	return mean, max(spikeFloor, 3*mean, mean+4*math.Sqrt(square))
}
