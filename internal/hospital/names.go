package hospital

// word is a name in the script of the card and in Latin letters.
type word struct{ ar, en string }

func maleNames() []word {
	return []word{
		{"محمد", "Mohamed"}, {"أحمد", "Ahmed"}, {"عبد الله", "Abdalla"}, {"عثمان", "Osman"}, {"إبراهيم", "Ibrahim"}, {"عمر", "Omer"},
		{"علي", "Ali"}, {"حسن", "Hassan"}, {"الطيب", "Eltayeb"}, {"خالد", "Khalid"}, {"مصطفى", "Mustafa"}, {"يوسف", "Yousif"},
		{"عبد الرحمن", "Abdelrahman"}, {"بابكر", "Babiker"}, {"الصادق", "Elsadig"}, {"مبارك", "Mubarak"}, {"ياسر", "Yasir"}, {"طارق", "Tarig"},
		{"عوض", "Awad"}, {"آدم", "Adam"}, {"إسماعيل", "Ismail"}, {"معتصم", "Mutasim"}, {"مأمون", "Mamoun"}, {"النور", "Elnour"},
		{"صلاح", "Salah"}, {"فيصل", "Faisal"}, {"هاشم", "Hashim"}, {"بشير", "Bashir"}, {"موسى", "Musa"}, {"كمال", "Kamal"},
	}
}

func femaleNames() []word {
	return []word{
		{"فاطمة", "Fatima"}, {"عائشة", "Aisha"}, {"مريم", "Mariam"}, {"آمنة", "Amna"}, {"زينب", "Zeinab"}, {"خديجة", "Khadija"},
		{"سارة", "Sara"}, {"هبة", "Hiba"}, {"إيمان", "Iman"}, {"نجلاء", "Naglaa"}, {"سعاد", "Suad"}, {"حليمة", "Halima"},
		{"رانيا", "Rania"}, {"أماني", "Amani"}, {"منى", "Muna"}, {"سلمى", "Salma"}, {"إسراء", "Israa"}, {"رحاب", "Rihab"},
		{"نعمات", "Nimat"}, {"بثينة", "Buthaina"}, {"هالة", "Hala"}, {"وفاء", "Wafa"}, {"تهاني", "Tahani"}, {"ندى", "Nada"},
		{"أسماء", "Asma"}, {"دعاء", "Duaa"}, {"ليلى", "Laila"}, {"سمية", "Sumaya"}, {"رقية", "Rugaya"}, {"عفاف", "Afaf"},
	}
}

// place is a town with quarters, as a patient's address has it. lead is how its landlines begin.
type place struct {
	town, state, postal string
	townAr              string
	quarters            []word
}

func places() []place {
	return []place{
		{"Khartoum", "Khartoum", "11111", "الخرطوم", []word{{"الرياض", "Riyadh"}, {"الصحافة", "Sahafa"}, {"الديم", "Deim"}, {"بري", "Burri"}, {"جبرة", "Jabra"}}},
		{"Omdurman", "Khartoum", "14415", "أم درمان", []word{{"الملازمين", "Mulazmin"}, {"الثورة", "Thawra"}, {"ود نوباوي", "Wad Nubawi"}, {"أبو روف", "Abu Rof"}, {"بيت المال", "Beit Elmal"}}},
		{"Khartoum North", "Khartoum", "13311", "الخرطوم بحري", []word{{"شمبات", "Shambat"}, {"الحلفايا", "Halfaya"}, {"كافوري", "Kafouri"}, {"المزاد", "Mazad"}}},
		{"Wad Madani", "Gezira", "21111", "ود مدني", []word{{"الدباغة", "Dabagha"}, {"جزيرة الفيل", "Jazirat Elfil"}, {"المنيرة", "Munira"}, {"ود أزرق", "Wad Azrag"}}},
		{"Port Sudan", "Red Sea", "33311", "بورتسودان", []word{{"ديم المدينة", "Deim Elmadina"}, {"الثورة", "Thawra"}, {"ترانسيت", "Transit"}}},
	}
}
