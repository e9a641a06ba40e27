package names_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/names"
)

// same are lines of spellings of one name: each is to be found by each other.
const same = `
محمد | Mohamed | Muhammad | Mohammed | Mohamad | Mohammad | Muhamed | Muhammed | MOHAMED | Moḥamed
أحمد | Ahmed | Ahmad | احمد | Ahmmed
محمود | Mahmoud | Mahmud | Mahmood
عبد الرحمن | Abdelrahman | Abd al-Rahman | Abdul Rahman | عبدالرحمن | Abdulrahman | Abdurrahman | Abd El Rahman | Abdel-Rahman | Abdalrahman | عبد الرحمان
عبد الله | Abdallah | Abdullah | Abdalla | Abdulla | عبدالله | Abd Allah | Abdellah
عبد العزيز | Abdelaziz | Abdul Aziz | Abdulaziz | عبدالعزيز | Abd-el-Aziz
عبد القادر | Abdelgadir | Abdelqadir | Abdulkadir | Abdel Kader | عبدالقادر | Abdelgader
عبد اللطيف | Abdellatif | Abdelatif | Abdullatif | Abdul Latif | عبداللطيف
عبد السلام | Abdelsalam | Abdessalam | Abdussalam | Abdul Salam | عبدالسلام
الطيب | Eltayeb | Al-Tayeb | Altayeb | El Tayeb | Tayeb | Eltayib | Ettayeb | طيب
يوسف | Yousif | Yusuf | Youssef | Yousef | Yosif | يوسف
عثمان | Osman | Uthman | Othman | Usman
خديجة | Khadija | Khadiga | Khadijah | خديجه | Khadeeja
قاسم | Gasim | Qasim | Kasim | Qassim
جمال | Jamal | Gamal | Djamal
عائشة | Aisha | Aysha | Ayesha | عائشه | عايشة
إبراهيم | Ibrahim | Ebrahim | Ibraheem | ابراهيم
إسماعيل | Ismail | Ismael | Esmail | اسماعيل
حسين | Hussein | Hussain | Hussien | Husain | Hussayn
حسن | Hassan | Hasan | Hassen
فاطمة | Fatima | Fatma | Fatimah | فاطمه
الصادق | Elsadig | Al-Sadiq | Alsadig | Sadiq | Sadig | صادق
سيف الدين | Seifeldin | Saif Eldin | Saifuddin | Seif El-Din | سيفالدين | Seif Aldin
نور الدين | Noureldin | Nur al-Din | Nureddin | Nour Eldeen | نورالدين | Noureddine
صلاح الدين | Salaheldin | Salah Eldin | Salahuddin | صلاحالدين
كمال الدين | Kamaleldin | Kamal Eldin | كمال الدين
صلاح | Salah
صالح | Saleh | Salih
أبو القاسم | Abuelgasim | Abu Al-Qasim | Abulgasim | ابو القاسم | ابوالقاسم | Abu Elgasim
أبو بكر | Abubakr | Abu Bakr | Abobakr | ابوبكر | Abubaker
نصر الله | Nasrallah | Nasr Allah | نصرالله | Nasrullah
خالد | Khalid | Khaled | Khaalid
سعيد | Saeed | Said | Saied
سعد | Saad | Sa'd
عمر | Omar | Umar | Omer
عمار | Ammar | Amar
علي | Ali | Aly
علياء | Alia | Aliya | Alya
مصطفى | Mustafa | Mostafa | مصطفي | Moustafa
موسى | Musa | Mousa | Moussa | موسي
عيسى | Eissa | Isa | Issa | عيسي
يحيى | Yahya | Yahia | Yehia | يحيي
هدى | Huda | Hoda | Houda
منى | Muna | Mona
سلمى | Salma | Selma
ليلى | Laila | Leila | Layla | ليلي
زينب | Zainab | Zeinab | Zaynab | Zenab
مريم | Mariam | Maryam | Mariem
آمنة | Amna | امنه | Amina
أسامة | Osama | Usama | Ossama
هيثم | Haitham | Haytham | Haysam
طارق | Tariq | Tarig | Tarek | Tareg
توفيق | Tawfiq | Tawfig | Toufik | Tewfik
فاروق | Farouq | Farouk | Farug
صديق | Siddiq | Siddig | Seddik
يعقوب | Yagoub | Yaqoub | Yacoub
إسحاق | Ishaq | Ishag | اسحق
فتحي | Fathi | Fathy
أدهم | Adham
معاذ | Muaz | Moaz | Muath
ذو الفقار | Zulfigar | Zulfiqar
رمضان | Ramadan | Ramadhan
ضياء | Diaa | Dhia
رياض | Riad | Riyad
زياد | Ziad | Ziyad
فؤاد | Fouad | Fuad | Foad
سعاد | Suad | Souad
عوض | Awad
عوضية | Awadia | Awadiya
مروان | Marwan
مروة | Marwa
نجوى | Najwa | Nagwa
روضة | Rawda
نوال | Nawal
جواد | Jawad | Gawad
معاوية | Muawia | Moawia | Muawiya
سليمان | Suleiman | Sulaiman | Soliman
سلمان | Salman
هشام | Hisham | Hesham
هاشم | Hashim | Hashem
شيماء | Shaimaa | Shayma
إسراء | Israa | Esraa
إيمان | Iman | Eman | Eiman
إيهاب | Ihab | Ehab
إلهام | Ilham | Elham
إلياس | Elias | Ilyas
دعاء | Duaa | Doaa
رانيا | Rania | Ranya
نادية | Nadia | Nadya
زكريا | Zakaria | Zakariya
إدريس | Idris | Edris | Idrees
ياسين | Yassin | Yasin | Yaseen
ياسر | Yasir | Yasser
مبارك | Mubarak | Mobarak
المتوكل | Almutawakil | Mutawakil | Elmutwakil
التجاني | Eltigani | Altijani | Tijani | التيجاني
العبيد | Elobeid | Alobaid | Obeid | عبيد
الأمين | Elamin | Al-Amin | Alamin | Elameen
البشير | Elbashir | Al-Bashir | Bashir | Basheer
الزبير | Elzubair | Alzubeir | Zubair
المهدي | Elmahdi | Al-Mahdi | Mahdi
عبده | Abdu | Abdo | Abdou
طه | Taha
نزيه | Nazih
وجيه | Wagih | Wajih | Wajeeh
ممدوح | Mamdouh | Mamduh
نوح | Nuh | Nouh
شعيب | Shuaib | Shoaib
لؤي | Louay | Luay
غازي | Ghazi | Gazi
كلثوم | Kalthoum | Kalsoum
ثريا | Thuraya | Soraya
بثينة | Buthaina | Bosaina
تاج السر | Tagelsir | Taj Elsir | Taj al-Sir | Tag Elsir
سر الختم | Sirelkhatim | Sir Elkhatim
حمد النيل | Hamadelnil | Hamad Elnil | Hamad al-Neel
Deng | Deng
Nyandeng | Nyandeng
`

func TestSpellingsOfOneNameAreAlike(t *testing.T) {
	pairs := 0
	for line := range strings.Lines(same) {
		all := strings.Split(strings.TrimSpace(line), "|")
		for _, a := range all {
			for _, b := range all {
				if strings.TrimSpace(a) == "" {
					continue
				}
				pairs++
				if why := differ(a, b); why != "" {
					t.Errorf("%s and %s: %s", strings.TrimSpace(a), strings.TrimSpace(b), why)
				}
			}
		}
	}
	t.Logf("%d pairs", pairs)
}

// differ says what keeps two spellings apart; "" where nothing does.
func differ(a, b string) string {
	x, y := names.Words(a), names.Words(b)
	if len(x) != len(y) {
		return "words: " + text(x) + " and " + text(y)
	}
	for i := range x {
		if !alike(x[i], y[i]) {
			return "forms: " + x[i].Form + " and " + y[i].Form
		}
		if !share(x[i].Skeletons(), y[i].Skeletons()) {
			return "skeletons: " + strings.Join(x[i].Skeletons(), " ") + " and " + strings.Join(y[i].Skeletons(), " ")
		}
	}
	return ""
}

func text(ws []names.Word) string {
	var all []string
	for _, w := range ws {
		all = append(all, w.Text)
	}
	return strings.Join(all, "+")
}

func alike(a, b names.Word) bool {
	return slices.ContainsFunc(a.Forms, func(f string) bool {
		return slices.ContainsFunc(b.Forms, func(g string) bool { return names.Alike(f, g) })
	})
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// different are pairs of names that are not to be taken for each other.
var different = [][2]string{
	{"Hassan", "Hussein"}, {"حسن", "حسين"}, {"حسن", "Hussein"}, {"Hassan", "حسين"},
	{"Jamal", "Kamal"}, {"جمال", "كمال"}, {"Gamal", "Kamal"}, {"جمال", "Kamal"}, {"Jamal", "كمال"},
	{"Jamal", "Jamil"}, {"جمال", "جميل"}, {"جمال", "Jamil"}, {"Karim", "Karam"}, {"كريم", "كرم"},
	{"Saad", "Saeed"}, {"سعد", "سعيد"}, {"سعد", "Saeed"}, {"Saad", "سعيد"},
	{"Salman", "Suleiman"}, {"سلمان", "سليمان"}, {"سلمان", "Suleiman"}, {"Hisham", "Hashim"}, {"هشام", "Hashim"}, {"Hisham", "هاشم"},
	{"Mohamed", "Mahmoud"}, {"محمد", "محمود"}, {"محمد", "Mahmoud"}, {"Mohamed", "محمود"}, {"Mohamed", "Ahmed"}, {"محمد", "أحمد"}, {"Hamad", "Ahmed"},
	{"Ahmed", "Hamid"}, {"Mohamed", "Hamed"}, {"محمد", "حمد"},
	{"Ali", "Ola"}, {"Ali", "Alia"}, {"علي", "علياء"}, {"Ali", "Alaa"}, {"Huda", "Hadi"}, {"هدى", "هادي"},
	{"Omar", "Amir"}, {"Omar", "Ammar"}, {"عمر", "عمار"}, {"عمر", "عامر"},
	{"Fatima", "Fatih"}, {"Amin", "Amna"}, {"Salma", "Salim"}, {"صلاح", "Sala"}, {"Nadia", "Nadi"},
	{"Abdelrahman", "Abdelrahim"}, {"عبد الرحمن", "عبد الرحيم"}, {"Abdelkarim", "Abdelrahim"}, {"Abdallah", "Abdu"}, {"عبد الله", "عبده"},
	{"Osman", "Salman"}, {"Yousif", "Yassin"}, {"Khalid", "Khalil"}, {"خالد", "خليل"}, {"Tarig", "Tahir"}, {"Idris", "Idriss Ali"},
	{"Samir", "Samar"}, {"سمير", "سمر"}, {"Bashir", "Bushra"}, {"Mustafa", "Musaab"}, {"Deng", "Dong"}, {"Elamin", "Elmahdi"}, {"Ibrahim", "Abraham Lincoln"},
}

func TestDifferentNamesAreNotAlike(t *testing.T) {
	for _, p := range different {
		if differ(p[0], p[1]) == "" {
			t.Errorf("%s is taken for %s: %v %v", p[0], p[1], names.Words(p[0]), names.Words(p[1]))
		}
	}
}

func TestSlipsOfThePenAreNear(t *testing.T) {
	for _, p := range [][2]string{{"Mohamed", "Mohaned"}, {"Mohamed", "Mohmd"}, {"Mohamed", "Moamed"}, {"Ibrahim", "Ibahim"}, {"Ibrahim", "Irbahim"}, {"محمد", "محمج"}, {"إبراهيم", "إبراخيم"}, {"Khalid", "Kalid"}, {"Mustafa", "Mustapa"}, {"Abdelrahman", "Abdelrahmn"}, {"Suleiman", "Suleimam"}, {"Mohamed", "Mohamde"}, {"Ibrahim", "Ibrahmi"}} {
		a, b := names.Words(p[0]), names.Words(p[1])
		x, y := a[len(a)-1], b[len(b)-1]
		if !alike(x, y) && !names.Near(x.Form, y.Form) {
			t.Errorf("%s and %s are not near: %s %s", p[0], p[1], x.Form, y.Form)
		}
		if !alike(x, y) && !reached(x, y) {
			t.Errorf("%s and %s share no slip: %v %v", p[0], p[1], x.Skeletons(), y.Skeletons())
		}
	}
	for _, p := range [][2]string{{"Hassan", "Hussein"}, {"Jamal", "Jamil"}, {"Ali", "Ola"}, {"Mohamed", "Hassan"}, {"Salma", "Samia"}, {"Mohamed", "Mahmoud"}} {
		if names.Near(names.Words(p[0])[0].Form, names.Words(p[1])[0].Form) {
			t.Errorf("%s and %s are near", p[0], p[1])
		}
	}
}

// reached reports that the one is found from the other by slips.
func reached(x, y names.Word) bool {
	from := func(w names.Word) (all []string) {
		for _, s := range w.Skeletons() {
			all = append(append(all, s), names.Slips(s)...)
		}
		return all
	}
	return share(from(x), from(y))
}

func TestWhatIsTypedIsTheBeginningOfTheName(t *testing.T) {
	for _, whole := range []string{"Mohamed", "Abdelrahman", "Khadija", "Osman", "Eltayeb", "محمد", "عبد الرحمن", "الطيب"} {
		w := names.Words(whole)
		for n := 3; n <= len([]rune(whole)); n++ {
			start := string([]rune(whole)[:n])
			s := names.Typed(start)
			if len(s) == 0 {
				continue
			}
			last := s[len(s)-1]
			if !slices.ContainsFunc(w, func(one names.Word) bool {
				return slices.ContainsFunc(last.Forms, func(f string) bool { return names.Begins(f, one.Form) })
			}) {
				t.Errorf("%s is no beginning of %s: %v %v", start, whole, s, w)
			}
		}
	}
	for _, p := range [][2]string{{"Moh", "محمد"}, {"مح", "Mohamed"}, {"Yous", "يوسف"}, {"Khad", "خديجة"}, {"Osm", "عثمان"}} {
		if !names.Begins(names.Words(p[0])[0].Form, names.Words(p[1])[0].Form) {
			t.Errorf("%s does not begin %s: %v %v", p[0], p[1], names.Words(p[0]), names.Words(p[1]))
		}
	}
}

func TestArticlesAndParticlesDoNotCount(t *testing.T) {
	for _, p := range [][2]string{{"Omar ibn Al-Khattab", "Omar Khattab"}, {"خالد بن الوليد", "خالد وليد"}, {"Tayeb  Salih", "Al-Tayeb SALIH"}, {"Ma'moun", "Mamoun"}, {"O’Neil", "Oneil"}} {
		if why := differ(p[0], p[1]); why != "" {
			t.Errorf("%s and %s: %s", p[0], p[1], why)
		}
	}
}

func TestWordsInOtherScriptsAreThemselves(t *testing.T) {
	a, b := names.Words("አበበ ቢቂላ"), names.Words("አበበ ቢቂለ")
	if len(a) != 2 || !alike(a[0], b[0]) || alike(a[1], b[1]) {
		t.Errorf("%v %v", a, b)
	}
	if len(names.Words("")) != 0 || len(names.Words("1234 -- ؟")) != 0 {
		t.Error("what has no letter has words")
	}
}

var aName = rapid.Custom(func(t *rapid.T) string {
	lines := strings.Split(strings.TrimSpace(same), "\n")
	n := rapid.IntRange(1, 4).Draw(t, "words")
	var all []string
	for range n {
		spellings := strings.Split(rapid.SampledFrom(lines).Draw(t, "line"), "|")
		all = append(all, strings.TrimSpace(rapid.SampledFrom(spellings).Draw(t, "spelling")))
	}
	return strings.Join(all, " ")
})

func TestWordsOfWordsAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := aName.Draw(t, "name")
		once := names.Words(name)
		for _, w := range once {
			again := names.Words(w.Text)
			if len(again) != 1 || !alike(again[0], w) {
				t.Fatalf("%s: %v, again %v", name, w, again)
			}
		}
	})
}

func TestCaseAndOrderDoNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := aName.Draw(t, "name")
		forms := func(s string) []string {
			var out []string
			for _, w := range names.Words(s) {
				out = append(out, w.Form)
			}
			slices.Sort(out)
			return out
		}
		if a, b := forms(name), forms(strings.ToUpper(name)); !slices.Equal(a, b) {
			t.Fatalf("%v %v", a, b)
		}
		ws := names.Words(name)
		turned := make([]string, len(ws))
		for i, w := range ws {
			turned[len(ws)-1-i] = w.Text
		}
		a, b := forms(name), forms(strings.Join(turned, ", "))
		if len(a) != len(b) {
			t.Fatalf("%v %v", a, b)
		}
	})
}

func TestAlikeIsSymmetricAndLooksUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := aName.Draw(t, "a"), aName.Draw(t, "b")
		for _, x := range names.Words(a) {
			if !names.Alike(x.Form, x.Form) {
				t.Fatalf("%s is not alike itself", x.Form)
			}
			for _, y := range names.Words(b) {
				for _, f := range x.Forms {
					for _, g := range y.Forms {
						if names.Alike(f, g) != names.Alike(g, f) || names.Near(f, g) != names.Near(g, f) {
							t.Fatalf("%s %s: not symmetric", f, g)
						}
						if names.Alike(f, g) && !share(x.Skeletons(), y.Skeletons()) {
							t.Fatalf("%s and %s are alike and share no skeleton", f, g)
						}
						if names.Near(f, g) && !names.Alike(f, g) && !names.Short(x.Skeletons()[0]) && !names.Short(y.Skeletons()[0]) && !reached(x, y) {
							t.Fatalf("%s and %s are near and share no slip: %v %v", f, g, x.Skeletons(), y.Skeletons())
						}
					}
				}
			}
		}
	})
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"Mohamed", "عبد الرحمن", "Ma'moun", "abdelallah", "ةةة", "\xff", "wyw", "hhh", "thshkh", "ß", "ال ال", "abdl", "Abdul"} {
		f.Add(s, "Mohamed")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, x := range names.Words(a) {
			if len(x.Skeletons()) == 0 || x.Form == "" {
				t.Fatalf("%q: %v", a, x)
			}
			for _, s := range x.Skeletons() {
				names.Slips(s)
			}
			for _, y := range names.Words(b) {
				if names.Alike(x.Form, y.Form) != names.Alike(y.Form, x.Form) || names.Near(x.Form, y.Form) != names.Near(y.Form, x.Form) {
					t.Fatalf("%q %q: not symmetric", a, b)
				}
				names.Begins(x.Form, y.Form)
			}
			if !names.Alike(x.Form, x.Form) {
				t.Fatalf("%q is not alike itself", x.Form)
			}
		}
	})
}
