package report

import (
	"encoding/json"
	"fmt"
)

// Stored is the report as it is kept of an incident that is final, in at most so many
// bytes: groups that can be as many as there are tags, or hours, are left out if it
// would be longer.
func (r *Report) Stored(most int) (json.RawMessage, error) {
	short := *r
	for _, groups := range []*[]Group{nil, &short.ByTag, &short.ByHour} {
		if groups != nil {
			*groups = []Group{}
		}
		data, err := json.Marshal(&short)
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		if len(data) <= most {
			return data, nil
		}
	}
	return nil, fmt.Errorf("audit: the report has more than %d bytes", most)
}

// final makes the report that was stored of an incident answer what is asked now.
// Groupings that were not stored are of the books as they stand.
func (r *Report) final(fresh *Report) {
	changed := !sameMoney(r.Total, fresh.Total)
	if changed && fresh.Summarised == nil { // else the difference is what has gone
		r.Later = &fresh.Total
	}
	switch b := &r.Bills; {
	case fresh.Summarised == nil: // a bill comes days later
		*b = fresh.Bills
	case b.State == StateReconciled && b.Latest.IsZero(): // as it was called before it was known what was compared
		b.State = StatePartly
	}
	r.Incident, r.By, r.Groups = fresh.Incident, fresh.By, fresh.Groups
	if groups := r.stored(); len(groups) > 0 {
		r.Groups = groups
	} else if changed {
		r.GroupsTotal = &fresh.Total
	}
}

// stored are the groups that were stored, if they are those that are asked for.
func (r *Report) stored() []Group {
	if len(r.By) != 1 {
		return nil
	}
	switch r.By[0] {
	case ByCause:
		return r.ByCause
	case ByModel:
		return r.ByModel
	case ByHour:
		return r.ByHour
	case Tag(r.TeamTag):
		return r.ByTag
	}
	return nil
}

func sameMoney(a, b Figures) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}
