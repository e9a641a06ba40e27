package facility

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/nilecare/nilecare/internal/web/api"
)

// boardJSON is a bed board: wards with their beds.
type boardJSON struct {
	FacilityID string      `json:"facilityId"`
	At         string      `json:"at"`
	Summary    occupancy   `json:"summary"`
	Wards      []boardWard `json:"wards"`
}

type boardWard struct {
	wardOccupancy
	Beds []bedJSON `json:"beds"`
}

// showBoard answers with all beds of a facility, by ward. What it tells stands in the ledger, but for who lies there: that is
// looked up, for the caller may not see everybody.
func (s *Service) showBoard(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	f, err := s.filter(r)
	if err != nil {
		return err
	}
	id := r.URL.Query().Get("facilityId")
	if id != "" {
		if f.facility, err = s.facilityOf(ctx, "facilityId", id); err != nil {
			return err
		}
	}
	rows, _, err := s.beds(ctx, f)
	if err != nil {
		return err
	}
	beds, err := s.tellBeds(ctx, rows, r.URL.Query().Get("patients") != "false")
	if err != nil {
		return err
	}
	wards, err := s.places(ctx, kindWard, f.facility)
	if err != nil {
		return err
	}
	n := s.naming(ctx)
	out := boardJSON{FacilityID: n.id("Organization", f.facility), At: *stamp(s.Records.Now().UnixMicro()), Wards: []boardWard{}}
	all := &figures{states: map[string]int{}}
	by, of := map[string]*figures{}, map[string][]bedJSON{}
	for k := range rows {
		c := count{ward: rows[k].ward, state: rows[k].state, inUse: rows[k].status == "active", n: 1}
		add(by, c.ward, c)
		of[c.ward] = append(of[c.ward], beds[k])
	}
	for _, f := range by {
		all.total += f.total
		for state, n := range f.states {
			all.states[state] += n
		}
	}
	if of[""] != nil { // beds that stand in no ward
		wards[""] = &placeRow{status: "active"}
	}
	for id, p := range wards {
		if matches(f.ward, id) && matches(f.department, p.department) {
			if of[id] == nil {
				of[id] = []bedJSON{}
			}
			out.Wards = append(out.Wards, boardWard{tellOccupancy(n, p, by[id]), of[id]})
		}
	}
	slices.SortFunc(out.Wards, func(a, b boardWard) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.WardID, b.WardID)) })
	out.Summary = all.told()
	if n.err != nil {
		return n.err
	}
	return api.Answer(w, r, http.StatusOK, out)
}
