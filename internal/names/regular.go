package names

import "strings"

// arabicRegular are old or frequent spellings of words that the rules for letters do not bring together.
var arabicRegular = map[string]string{
	"رحمان": "رحمن", "اسمعيل": "اسماعيل", "هرون": "هارون", "ابراهم": "ابراهيم", "سليمن": "سليمان", "عثمن": "عثمان", "معوية": "معاوية", "عبده": "عبدو", "طه": "طاها",
	"داؤود": "داود", "داوود": "داود", "رووف": "روف", "اسحق": "اسحاق", "تيجاني": "تجاني",
}

// latinRegular are families of spellings of one name that the rules for letters would keep apart, by the spelling that stands for all.
var latinRegular = families(`
	yousif: yusuf yousuf yousef youssef yussef yusef yosef yosif yousof youssif yossif yussuf yosuf yousouf
	mohamed: mhmd mohd muhd mhd mohmd muhammed mohammed mohamad mohammad muhammad muhamad muhamed mohamod mouhamed mouhamad mouhammed mouhamadou mohammd
	qadir: kadir kader gadir gader qader gadr
	qasim: kasim kassim kasem kassem gasim gassim gasem gassem qassim qassem qasem
	tawfiq: tawfik toufik tewfik tawfig toufig taufiq taufik
	tariq: tarik tarek tareg tarig tareq
	sadiq: sadik sadig sadeg sadeq saddig
	siddiq: siddig siddik seddik seddig sediq sedig sidig sideeg
	farouq: farouk faroug faruk faruq farug farooq
	ishaq: ishak ishag eshag ishaag is-haq
	yaqoub: yagoub yakoub yacoub yagub yakub yaqub yaagoub yaqoob
	haq: hag hagg haqq
	rizq: rizg rizk
	baqi: bagi baki
	khaliq: khalig khalik
	raziq: razig razik
	shafiq: shafig shafik
	rafiq: rafig rafik
	taqi: tagi taki
	fadl: fadol fadul
	din: deen dein dine diin eddin
	sir: sirr
	daoud: dawood dawoud dawud daud daoood david
	monim: moneim moniem moneem menem
	zulfiqar: zulfigar zulfikar zolfigar thulfiqar dhulfiqar dhulfigar
	musa: mousa moussa mosa moosa
	saleh: salih saalih
	isa: eisa issa eissa
	khadija: khadiga khadeeja khadega khadeja
`)

func families(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		head, rest, _ := strings.Cut(line, ":")
		for w := range strings.FieldsSeq(rest) {
			out[w] = strings.TrimSpace(head)
		}
	}
	return out
}

// regular is the spelling that stands for a word's family, else the word, without what French spelling adds.
func regular(w string) string {
	if to, ok := latinRegular[w]; ok {
		return to
	}
	if strings.HasSuffix(w, "ine") && len(w) > 4 {
		return w[:len(w)-1]
	}
	return w
}
