package names

import (
	"slices"
	"strings"
)

// MaxWords is how many words of a name count.
const MaxWords = 8

// Word is a word of a name.
type Word struct {
	Text  string   // folded: lower case, without marks, articles and particles
	Form  string   // how it sounds, as far as both scripts tell
	Forms []string // Form, and other readings of the same letters
}

// maxText is how many bytes of a name are looked at.
const maxText = 512

// Words cuts a name into its words, in their order: at most MaxWords, each once. Words of a name that is written as one word are as good as those of one
// that is written as several.
func Words(name string) []Word {
	if len(name) > maxText {
		name = strings.ToValidUTF8(name[:maxText], "")
	}
	ps := compact(split(pieces(name)))
	if len(ps) > MaxWords {
		ps = ps[:MaxWords]
	}
	out := make([]Word, 0, len(ps))
	for _, p := range ps {
		out = append(out, wordOf(p))
	}
	return out
}

// Typed is [Words] of a name that is still being typed: the last word may be a beginning, and has a reading without what may be an article.
func Typed(name string) []Word {
	out := Words(name)
	if len(out) == 0 {
		return out
	}
	last := &out[len(out)-1]
	if rest, ok := strings.CutPrefix(last.Text, "ال"); ok && rest != "" {
		last.Forms = append(last.Forms, string(parseArabic(rest)))
	} else if rest, ok := cutArticle(last.Text); ok && rest != "" {
		last.Forms = append(last.Forms, string(parseLatin(rest, false)))
	}
	return out
}

func wordOf(p piece) Word {
	w := Word{Text: p.text}
	switch p.in {
	case latin:
		w.Forms = []string{string(parseLatin(p.text, false))}
		if apartable(p.text) {
			w.Forms = append(w.Forms, string(parseLatin(p.text, true)))
		}
	case arabic:
		w.Forms = []string{string(parseArabic(p.text))}
	default:
		w.Forms = []string{"=" + p.text}
	}
	w.Form = w.Forms[0]
	return w
}

// Skeletons are the coarse consonants that the word can be looked up by: words that are alike share one.
func (w Word) Skeletons() []string {
	var out []string
	for _, f := range w.Forms {
		out = append(out, form(f).skeletons()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Short reports that a skeleton says too little to be looked up by its beginning or with a slip of the pen.
func Short(skeleton string) bool { return len(skeleton) < 3 }

// Slips are the skeletons with one consonant left out, for looking up near words: two skeletons of which one has a consonant more, less, another one, or two that
// changed places, share a slip, or the one is a slip of the other; where a vowel slipped alone, they are the same. None of a short one, or of a word in another script.
func Slips(skeleton string) []string {
	if Short(skeleton) || strings.HasPrefix(skeleton, "=") {
		return nil
	}
	var out []string
	for i := range len(skeleton) {
		out = append(out, skeleton[:i]+skeleton[i+1:])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Skeletons are the coarse consonants that a form can be looked up by; at least one.
func Skeletons(f string) []string { return form(f).skeletons() }
