package clinical

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/names"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The bounds of a search by name.
const (
	maxCandidates = 200  // patients that one search by name finds at most
	maxLooked     = 2000 // rows that it looks at for that
	fewRows       = 300  // of so few no better way is looked for
	maxTyped      = 300  // words that what is typed so far may begin
	maxPairs      = 600  // pairs of words that are asked for at once
)

// How well a word of a name fits one that is looked for.
const (
	sameForm  = 1.0  // the same spelling, or one that sounds the same
	alikeForm = 0.95 // another spelling
	beginning = 0.85 // the beginning of the word
	nearForm  = 0.7  // a slip of the pen
)

// wanted is a word that is looked for, and the words of the tenant's vocabulary that may be meant.
type wanted struct {
	word          names.Word
	typing, slips bool // it may be a beginning; it may have a slip of the pen
	tokens        []int64
	open          bool               // it begins more words than are in tokens
	fits          map[string]float64 // what is known of forms
	rows          int                // how many patients have one of the tokens, up to fewRows
}

// hit is a patient that a search by name found.
type hit struct {
	entered
	score float64
	why   []string
}

// nameQuery is a search by name.
type nameQuery struct {
	name   string
	typing bool    // the last word may be a beginning
	born   []int64 // days that the patient may be born on, as in the ledger; none: any
	gender string  // "": any
	city   []byte  // blind, as in the ledger; nil: any
	state  []byte
}

// fits reports that the rest of a row is as it is looked for.
func (n *nameQuery) fits(e *entered) bool {
	return (len(n.born) == 0 || slices.Contains(n.born, e.born)) && (n.gender == "" || n.gender == e.gender) && (n.city == nil || bytes.Equal(n.city, e.city)) &&
		(n.state == nil || bytes.Equal(n.state, e.state))
}

// narrows reports that there is such a rest.
func (n *nameQuery) narrows() bool {
	return len(n.born) > 0 || n.gender != "" || n.city != nil || n.state != nil
}

// findByName returns up to maxCandidates patients whose names fit, the best first; more says that there are others. Whether the caller may see them is not
// asked.
func (p patients) findByName(ctx context.Context, n nameQuery) (hits []hit, more bool, err error) {
	words := names.Words(n.name)
	if n.typing {
		words = names.Typed(n.name)
	}
	if len(words) == 0 {
		return nil, false, nil
	}
	err = p.l.View(ctx, access.From(ctx).Tenant, func(q sqldb.Querier) error {
		hits, more, err = p.lookUp(ctx, q, n, words, false)
		if err == nil && len(hits) == 0 {
			hits, more, err = p.lookUp(ctx, q, n, words, true)
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Or(-cmp.Compare(a.score, b.score), cmp.Compare(a.num, b.num)) })
	if len(hits) > maxCandidates {
		hits, more = hits[:maxCandidates], true
	}
	return hits, more, nil
}

// lookUp looks the words up; slips says that words which differ by a slip of the pen are meant too.
func (p patients) lookUp(ctx context.Context, q sqldb.Querier, n nameQuery, words []names.Word, slips bool) ([]hit, bool, error) {
	all := make([]*wanted, 0, len(words))
	for i, w := range words {
		one := &wanted{word: w, typing: n.typing && i == len(words)-1, slips: slips, fits: map[string]float64{}}
		if err := p.meant(ctx, q, one); err != nil {
			return nil, false, err
		}
		if len(one.tokens) == 0 {
			return nil, false, nil
		}
		all = append(all, one)
	}
	keys, rest, err := p.narrowest(ctx, q, n, all)
	if err != nil {
		return nil, false, err
	}
	return p.gather(ctx, q, n, all, keys, rest)
}

// meant finds the words of the vocabulary that one which is looked for may be.
func (p patients) meant(ctx context.Context, q sqldb.Querier, w *wanted) error {
	taken := map[int64]bool{}
	seen := 0
	take := func(rows sqldb.Rows) error {
		var form string
		var t int64
		if err := rows.Scan(&form, &t); err != nil {
			return err
		}
		seen++
		if w.fit(form) > 0 && !taken[t] {
			taken[t] = true
			w.tokens = append(w.tokens, t)
		}
		return nil
	}
	skeletons := w.word.Skeletons()
	if err := p.vocabulary(ctx, q, 0, skeletons, take); err != nil {
		return err
	}
	if w.typing {
		for _, s := range skeletons {
			seen = 0
			if err := p.beginnings(ctx, q, s, take); err != nil {
				return err
			}
			w.open = w.open || seen == maxTyped
		}
	}
	if !w.slips {
		return nil
	}
	var parts []string
	for _, s := range skeletons {
		parts = append(parts, names.Slips(s)...)
	}
	parts = append(parts, skeletons...)
	if err := p.vocabulary(ctx, q, 0, parts, take); err != nil {
		return err
	}
	return p.vocabulary(ctx, q, 1, parts, take)
}

// fit is how well a form fits the word that is looked for; 0: not at all.
func (w *wanted) fit(form string) float64 {
	f, known := w.fits[form]
	if known {
		return f
	}
	as := func(like func(a, b string) bool) bool {
		return slices.ContainsFunc(w.word.Forms, func(one string) bool { return like(one, form) })
	}
	switch {
	case slices.Contains(w.word.Forms, form):
		f = sameForm
	case as(names.Alike):
		f = alikeForm
	case w.typing && as(names.Begins):
		f = beginning
	case w.slips && as(names.Near):
		f = nearForm
	}
	w.fits[form] = f
	return f
}

func (p patients) vocabulary(ctx context.Context, q sqldb.Querier, kind int64, parts []string, take func(sqldb.Rows) error) error {
	if len(parts) == 0 {
		return nil
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	b := &sqldb.Builder{}
	b.SQL("SELECT form, token FROM clinical_name WHERE tenant = ").Arg(access.From(ctx).Tenant).SQL(" AND kind = ").Int(kind).SQL(" AND part IN (")
	for i := range padded(len(parts)) {
		if i > 0 {
			b.SQL(",")
		}
		b.Arg(parts[min(i, len(parts)-1)])
	}
	b.SQL(")")
	return sqldb.Each(ctx, q, take, b.String(), b.Args...)
}

// beginnings asks for the words whose skeletons begin with one.
func (p patients) beginnings(ctx context.Context, q sqldb.Querier, skeleton string, take func(sqldb.Rows) error) error {
	return sqldb.Each(ctx, q, take, "SELECT form, token FROM clinical_name WHERE tenant = $1 AND kind = 0 AND part >= $2 AND part < $3 ORDER BY part, form LIMIT $4",
		access.From(ctx).Tenant, skeleton, skeleton+"\x7f", maxTyped)
}

// padded rounds a number of arguments up, so that there are few different statements.
func padded(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}

// narrowest chooses what is asked of the database: keys of which one must hold, such that few patients have one, and whether the rest is to be held against
// the rows that are found.
func (p patients) narrowest(ctx context.Context, q sqldb.Querier, n nameQuery, all []*wanted) (keys []int64, rest bool, err error) {
	// A word that begins too many others leads to some of its patients; the others lead to all.
	lead := slices.DeleteFunc(slices.Clone(all), func(w *wanted) bool { return w.open })
	if len(lead) == 0 {
		lead = all
	}
	rest = len(lead) < len(all) || n.narrows()
	if len(n.born) > 0 {
		// A word and a birth date together say more than any two words.
		least := slices.MinFunc(lead, func(a, b *wanted) int { return cmp.Compare(len(a.tokens), len(b.tokens)) })
		if len(least.tokens)*len(n.born) <= maxPairs {
			for _, t := range least.tokens {
				for _, d := range n.born {
					keys = append(keys, bornKey(t, d))
				}
			}
			return keys, true, nil
		}
	}
	for _, w := range lead {
		if w.rows, err = p.count(ctx, q, w.tokens); err != nil {
			return nil, false, err
		}
	}
	slices.SortStableFunc(lead, func(a, b *wanted) int { return cmp.Compare(a.rows, b.rows) })
	if len(lead) == 1 || lead[0].rows < fewRows {
		return lead[0].tokens, rest || len(lead) > 1, nil
	}
	// All are frequent: two of them together are less so.
	best, fewest := lead[0].tokens, fewRows+1
	for i := range lead {
		for j := range i {
			pair := pairKeys(lead[j].tokens, lead[i].tokens)
			if pair == nil {
				continue
			}
			if len(lead) == 2 {
				return pair, rest, nil
			}
			rows, err := p.count(ctx, q, pair)
			if err != nil {
				return nil, false, err
			}
			if rows < fewest {
				best, fewest = pair, rows
			}
		}
	}
	return best, true, nil
}

// pairKeys are the keys of one word of each; nil where they are too many.
func pairKeys(a, b []int64) []int64 {
	if len(a)*len(b) > maxPairs {
		return nil
	}
	var out []int64
	for _, x := range a {
		for _, y := range b {
			out = append(out, pairKey(x, y))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func keysIn(b *sqldb.Builder, tenant int32, keys []int64) *sqldb.Builder {
	b.SQL(" FROM clinical_patient_key k WHERE k.tenant = ").Arg(tenant).SQL(" AND k.key IN (")
	for i := range padded(len(keys)) {
		if i > 0 {
			b.SQL(",")
		}
		b.Arg(keys[min(i, len(keys)-1)])
	}
	return b.SQL(")")
}

// count counts the rows with one of the keys, up to fewRows.
func (p patients) count(ctx context.Context, q sqldb.Querier, keys []int64) (int, error) {
	b := (&sqldb.Builder{}).SQL("SELECT count(*) FROM (SELECT 1")
	keysIn(b, access.From(ctx).Tenant, keys).SQL(" LIMIT ").Int(fewRows).SQL(") AS few")
	var n int
	_, err := sqldb.QueryRow(ctx, q, []any{&n}, b.String(), b.Args...)
	return n, err
}

// gather reads the patients with one of the keys, and keeps those whose names fit. CROSS JOIN has SQLite, which knows nothing of how many rows there are, look each
// patient up by its number; PostgreSQL does so by itself.
func (p patients) gather(ctx context.Context, q sqldb.Querier, n nameQuery, all []*wanted, keys []int64, rest bool) ([]hit, bool, error) {
	tenant := access.From(ctx).Tenant
	limit := maxCandidates + 1
	if rest {
		limit = maxLooked
	}
	b := (&sqldb.Builder{}).SQL("SELECT p.num, p.patient, p.names, p.born, p.gender, p.city, p.state, p.merged_into FROM (SELECT k.num")
	keysIn(b, tenant, keys).SQL(" LIMIT ").Int(int64(limit)).SQL(") AS f CROSS JOIN clinical_patient p WHERE p.tenant = ").Arg(tenant).SQL(" AND p.num = f.num")
	var hits []hit
	seen := map[int64]bool{}
	rows := 0
	err := sqldb.Each(ctx, q, func(r sqldb.Rows) error {
		var e entered
		if err := r.Scan(&e.num, &e.patient, &e.names, &e.born, &e.gender, &e.city, &e.state, &e.mergedInto); err != nil {
			return err
		}
		rows++
		if seen[e.num] || len(hits) > maxCandidates || !n.fits(&e) {
			return nil
		}
		seen[e.num] = true
		if score, why := fitOf(e.names, all); score > 0 {
			hits = append(hits, hit{entered: e, score: score, why: why})
		}
		return nil
	}, b.String(), b.Args...)
	return hits, rows == limit || len(hits) > maxCandidates, err
}

// fitOf is how well the best of a patient's names fits the words that are looked for, each of which must be in it: 1 where there is nothing else in it.
func fitOf(patient string, all []*wanted) (best float64, why []string) {
	for name := range strings.SplitSeq(patient, "|") {
		words := strings.Fields(name)
		used := make([]bool, len(words))
		sum, weakest := 0.0, 1.0
		for _, w := range all {
			at, fit := -1, 0.0
			for i, forms := range words {
				if used[i] {
					continue
				}
				for form := range strings.SplitSeq(forms, "/") {
					if f := w.fit(form); f > fit {
						at, fit = i, f
					}
				}
			}
			if at < 0 {
				sum = 0
				break
			}
			used[at] = true
			sum, weakest = sum+fit, min(weakest, fit)
		}
		if sum == 0 {
			continue
		}
		// Of two that fit alike, the one whose name has less beside is meant more likely.
		score := sum / float64(len(all)) * (0.85 + 0.15*float64(len(all))/float64(max(len(words), len(all))))
		if score > best {
			best, why = score, []string{reasonOf(weakest)}
		}
	}
	return best, why
}

func reasonOf(weakest float64) string {
	switch {
	case weakest >= sameForm:
		return "name"
	case weakest >= alikeForm:
		return "name:spelling"
	case weakest >= beginning:
		return "name:beginning"
	}
	return "name:similar"
}
