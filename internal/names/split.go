package names

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// script is what the letters of a piece are.
type script uint8

const (
	latin script = iota
	arabic
	other
)

// piece is a run of letters of one script, folded.
type piece struct {
	text string
	in   script
}

// latinLetters are letters that do not come apart into a plain one and a mark.
var latinLetters = map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i"}

// arabicLetters unifies letters of Arabic script that other languages or keyboards write for the same sound; 0 takes one off.
var arabicLetters = map[rune]rune{'ـ': 0, 'ء': 0, 'ٱ': 'ا', 'ک': 'ك', 'ی': 'ي', 'ہ': 'ه', 'ھ': 'ه', 'ە': 'ه', 'ۀ': 'ه', 'ۃ': 'ة', 'پ': 'ب', 'چ': 'ج', 'ڤ': 'ف', 'ژ': 'ج', 'ڭ': 'گ'}

// within are the marks that stand within a word: Ma'moun, Alaa’.
const within = "'’‘`´ʿʾʼ′"

// pieces cuts a text into runs of letters: lower case, without marks. Everything else parts words.
func pieces(text string) []piece {
	var out []piece
	var b strings.Builder
	in := other
	end := func() {
		if b.Len() > 0 {
			out = append(out, piece{b.String(), in})
			b.Reset()
		}
	}
	for _, r := range norm.NFKD.String(text) {
		if strings.ContainsRune(within, r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r) {
			continue
		}
		if !unicode.IsLetter(r) && !unicode.Is(unicode.Mc, r) {
			end()
			continue
		}
		r = unicode.ToLower(r)
		now := scriptOf(r)
		if now != in {
			end()
			in = now
		}
		switch now {
		case latin:
			if s, ok := latinLetters[r]; ok {
				b.WriteString(s)
			} else if r < unicode.MaxASCII {
				b.WriteRune(r)
			}
		case arabic:
			if to, ok := arabicLetters[r]; ok {
				r = to
			}
			if r != 0 {
				b.WriteRune(r)
			}
		default:
			b.WriteRune(r)
		}
	}
	end()
	return out
}

func scriptOf(r rune) script {
	switch {
	case unicode.Is(unicode.Latin, r):
		return latin
	case unicode.Is(unicode.Arabic, r):
		return arabic
	}
	return other
}

// split takes articles and particles off and compounds apart.
func split(ps []piece) []piece {
	var out []piece
	for i, p := range ps {
		follows := i+1 < len(ps)
		if len(out) > 0 && !follows && (articles[p.text] || p.text == "ال") && len(p.text) < 5 {
			continue // typed so far: what it is the article of will follow
		}
		if rest, ok := strings.CutPrefix(p.text, "ال"); ok && len(out) > 0 {
			switch {
			case out[len(out)-1].text == "عبد" && rest != "له" && rest != "لة":
				out = append(out, arabicPieces(rest)...)
				continue
			case out[len(out)-1].text == "ذو":
				out[len(out)-1].text = "ذل" + rest
				continue
			}
		}
		switch p.in {
		case latin:
			out = append(out, splitLatin(p.text, follows, len(out) > 0)...)
		case arabic:
			out = append(out, splitArabic(p.text, follows)...)
		default:
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return ps
	}
	return out
}

// allah is the one word that every way of writing the end of Abdallah or Nasrullah becomes.
const allah = "allah"

func latinPieces(words ...string) []piece {
	out := make([]piece, len(words))
	for i, w := range words {
		out[i] = piece{w, latin}
	}
	return out
}

// articles are what stands before a name and is no part of it, also as it sounds before sun letters.
var articles = words("al el il ul ar er ur as es us at et an en ad ed az ez ash esh ibn bin ben bint bnt")

// unarticled are words that begin like an article and have none.
var unarticled = words("elias ilyas elyas ilias eliyas alyas alwan elwan alia aliya aliyah alya alawi alawia alaa allah alla")

// seconds are words that stand second in a compound, behind an article: Seif-el-din, Tag-el-sir.
var seconds = words(`din deen dein dine diin sir sirr sid seid seed sayed sayid said khatim khatem khatm nil neel nabi rahman rahim raheem karim kareem
	gadir gader qadir qader kadir kader galil jalil jaleel galeel wahab wahhab salam aziz hadi mawla moula mola rab rabb rasoul rasool rasul fadil fadl gasim
	qasim kasim hag hagg haj hajj hassan hussein bagi baqi hafiz hakim hakeem hamid hameed majid magid latif lateef mahdi malik monim moniem moneim mutalib muttalib nasir
	nasser nour nur razig raziq razzaq rauf raouf samad samee sattar shafi tawab wadood wahid gabbar jabbar ghafar ghani hai haleem halim`)

// sunStems begin with a letter that the article before them takes on: Ettayeb, Assadig.
var sunStems = words(`tayeb tayib tayyeb taieb tahir taher tigani tijani sadig sadiq siddig sayed sayid sid sir sirr samani nour nur noor nil neel nabi naeem rashid rasheed
	rahman rahim raheem din deen dein zein zain zubair zubeir zaki sheikh shaikh shafie dirdiri`)

// longestSecond is how many letters the longest of seconds has.
const longestSecond = 9

var (
	abdAlone   = words("abd abdel abdul abdal abdil abdol abdoul abdool abdur abder abdar abdus abdes abdun abden abdud abded")
	abdGod     = regexp.MustCompile(`^[aeiou]*l+[ae]h?$`)
	abdLatif   = regexp.MustCompile(`^[aeiou]*l*at[ei]+f$`)
	abdArticle = regexp.MustCompile(`^(?:[aeiou]|ou|oo)l(.{3,}|[^aeiou].?)$`)
	abdSun     = regexp.MustCompile(`^[aeiou](?:r|s|sh|n|d|t|z)(.{3,})$`)
	joined     = regexp.MustCompile(`^(.{2,}?)(?:[aeiou]|ou|oo)(l|d|s|r|n|t|z)$`)
	ofGod      = regexp.MustCompile(`^(.{2,}?[^aeioul])(?:[aeu]|ou)ll?[ae]h$`)
	ofGodBare  = regexp.MustCompile(`^(nasr|khair|kheir|hiba|hibat|ata|fath|saad|awad|gad|jad|rizg|rizq|hamad|hamd|hasab|habib|khalaf|daif|deif|faid)(?:[aeu]|ou)lla$`)
	kalthoum   = regexp.MustCompile(`^[ou]mm?(?:[ae]l)?(k[aou]+l[st]h?[ou]+m)$`)
	fatherOf   = regexp.MustCompile(`^(ab[ou]+)(?:[ae]l)?([^aeiou].{2,})$`)
)

func words(s string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		out[w] = true
	}
	return out
}

// splitLatin takes one word apart; follows and leads say that there are words behind and before it.
func splitLatin(w string, follows, leads bool) []piece {
	if follows && articles[w] {
		return nil
	}
	if leads && (w == "allah" || w == "alla" || w == "ullah" || w == "ulla" || w == "ellah") {
		return latinPieces(allah)
	}
	if abdAlone[w] {
		return latinPieces("abd")
	}
	if rest, ok := strings.CutPrefix(w, "abd"); ok && len(rest) > 2 {
		if second := servantOf(rest); second != "" {
			return latinPieces("abd", second)
		}
		return latinPieces(regular(w))
	}
	if m := kalthoum.FindStringSubmatch(w); m != nil {
		return latinPieces("um", m[1])
	}
	if parts := compound(w); parts != nil {
		return parts
	}
	return latinPieces(regular(bare(w)))
}

// servantOf is whose servant a name that began with abd is; "" where it is no such name (Abdu, Abdin).
func servantOf(rest string) string {
	if abdGod.MatchString(rest) {
		return allah
	}
	if abdLatif.MatchString(rest) {
		return "latif"
	}
	if m := abdArticle.FindStringSubmatch(rest); m != nil {
		return regular(m[1])
	}
	if m := abdSun.FindStringSubmatch(rest); m != nil { // the consonant is the word's own, perhaps written once
		return regular(strings.TrimLeft(rest, "aeiou"))
	}
	if len(rest) >= 4 && !strings.ContainsRune("aeiou", rune(rest[0])) {
		return regular(rest)
	}
	return ""
}

// compound takes Seifeldin, Nasrullah and Abubakr apart; nil where the word is none.
func compound(w string) []piece {
	if m := ofGod.FindStringSubmatch(w); m != nil {
		return latinPieces(regular(bare(m[1])), allah)
	}
	if m := ofGodBare.FindStringSubmatch(w); m != nil {
		return latinPieces(regular(m[1]), allah)
	}
	// The first part is the longest that leaves a second one which is known: Kamaleldin is kamal and din.
	for at := len(w) - 2; at >= max(3, len(w)-longestSecond); at-- {
		if !seconds[w[at:]] {
			continue
		}
		m := joined.FindStringSubmatch(w[:at])
		if m == nil || m[2] != "l" && m[2] != w[at:at+1] || articles[m[1]] {
			continue
		}
		first := m[1]
		if first == "ab" {
			first = "abu"
		}
		return latinPieces(regular(bare(first)), regular(w[at:]))
	}
	if m := fatherOf.FindStringSubmatch(w); m != nil {
		return latinPieces("abu", regular(m[2]))
	}
	return nil
}

// bare takes the article off that is written as part of a word.
func bare(w string) string {
	if unarticled[w] || len(w) < 5 {
		return w
	}
	if strings.ContainsRune("aeu", rune(w[0])) && len(w) > 4 {
		if rest := w[2:]; w[1] == rest[0] && sunStems[rest] { // ettayeb
			return rest
		}
		if rest := w[1:]; sunStems[rest] && len(w) > 6 { // essadig as esadig
			return rest
		}
	}
	rest, ok := cutArticle(w)
	if !ok || len(rest) < 3 {
		return w
	}
	if strings.ContainsRune("aeiou", rune(rest[0])) && len(parseLatin(rest, false).consonants()) < 2 {
		return w
	}
	return rest
}

func cutArticle(w string) (string, bool) {
	for _, a := range []string{"al", "el", "il", "ul"} {
		if rest, ok := strings.CutPrefix(w, a); ok {
			return rest, true
		}
	}
	return w, false
}

func arabicPieces(words ...string) []piece {
	var out []piece
	for _, w := range words {
		switch w {
		case "":
		case "الله", "اللة", "لله":
			out = append(out, piece{allah, latin})
		default:
			if to, ok := arabicRegular[w]; ok {
				w = to
			}
			out = append(out, piece{w, arabic})
		}
	}
	return out
}

var arabicSeconds = words(`دين سر سيد ختم نيل نبي رحمن رحمان رحيم كريم قادر جليل وهاب سلام عزيز هادي مولى مولي رب رسول فاضل قاسم حسن حسين باقي حافظ حكيم حميد ماجد مجيد لطيف مهدي مالك
	منعم مطلب ناصر نور رازق رزاق رؤوف روف صمد ستار شافي تواب ودود واحد جبار غفار غني حي حليم حق خاتم`)

var arabicParticles = words("بن ابن بنت ال")

func splitArabic(w string, follows bool) []piece {
	if follows && arabicParticles[w] {
		return nil
	}
	if w == "الله" || w == "عبد" || w == "ابو" {
		return arabicPieces(w)
	}
	if rest, ok := strings.CutPrefix(w, "عبدال"); ok && len(rest) > 2 {
		if rest == "له" || rest == "لة" {
			return arabicPieces("عبد", "الله")
		}
		return arabicPieces("عبد", rest)
	}
	if w == "عبدربه" || w == "عبدرب" {
		return arabicPieces("عبد", strings.TrimPrefix(w, "عبد"))
	}
	if rest, ok := strings.CutSuffix(w, "الله"); ok && len(rest) >= 4 {
		return arabicPieces(bareArabic(rest), "الله")
	}
	for at := max(4, len(w)-20); at+4 < len(w); at += 2 {
		if strings.HasPrefix(w[at:], "ال") && arabicSeconds[w[at+4:]] {
			return arabicPieces(bareArabic(w[:at]), w[at+4:])
		}
	}
	if rest, ok := strings.CutPrefix(w, "ابو"); ok && len(rest) >= 6 {
		return arabicPieces("ابو", bareArabic(rest))
	}
	if rest, ok := strings.CutPrefix(w, "ذوال"); ok {
		return arabicPieces("ذل" + rest)
	}
	if w == "امكلثوم" {
		return arabicPieces("ام", "كلثوم")
	}
	return arabicPieces(bareArabic(w))
}

// bareArabic takes the article off; a letter has two bytes.
func bareArabic(w string) string {
	if rest, ok := strings.CutPrefix(w, "ال"); ok && (len(rest) >= 6 || arabicSeconds[rest]) && w != "الياس" {
		return rest
	}
	return w
}

// compact takes out pieces that say the same again.
func compact(ps []piece) []piece {
	var out []piece
	for _, p := range ps {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
