package hospital

// drug is a medicine as it is prescribed: ATC code, our own wording, and how it is taken.
type drug struct {
	atc, text   string
	dose        float64
	unit        string // UCUM, or "" for tablets
	timesDaily  int
	days        int // 0: for good
	route, form string
}

// illness is what brings a patient. panels name the tests that are asked for, drugs what is prescribed.
type illness struct {
	icd, text          string
	chronic            bool
	minAge, maxAge     int
	sex                byte // 'm', 'f', 0: both
	weight             int  // how often, against the others
	fever              bool
	panels             []string
	drugs              []drug
	procedure          string // key in procedures, or ""
	admitted           float64
	systolic, glycemic float64 // what it adds to blood pressure, and to sugar as a factor
}

func illnesses() []illness {
	amoxicillin := drug{"J01CA04", "Amoxicillin 500 mg capsule", 500, "mg", 3, 7, "oral", "capsule"}
	paracetamol := drug{"N02BE01", "Paracetamol 500 mg tablet", 500, "mg", 3, 3, "oral", "tablet"}
	return []illness{
		{icd: "I10", text: "Essential hypertension", chronic: true, minAge: 35, maxAge: 90, weight: 14, panels: []string{"renal", "lipids"}, systolic: 28,
			drugs: []drug{{"C08CA01", "Amlodipine 5 mg tablet", 5, "mg", 1, 0, "oral", "tablet"}, {"C09AA03", "Lisinopril 10 mg tablet", 10, "mg", 1, 0, "oral", "tablet"}}},
		{icd: "E11.9", text: "Type 2 diabetes mellitus", chronic: true, minAge: 30, maxAge: 90, weight: 12, panels: []string{"sugar", "renal", "lipids"}, systolic: 8, glycemic: 1.7,
			drugs: []drug{{"A10BA02", "Metformin 500 mg tablet", 500, "mg", 2, 0, "oral", "tablet"}}},
		{icd: "J45.9", text: "Asthma", chronic: true, minAge: 4, maxAge: 70, weight: 5,
			drugs: []drug{{"R03AC02", "Salbutamol 100 micrograms inhaler", 100, "ug", 4, 30, "inhalation", "inhaler"}}, procedure: "nebuliser"},
		{icd: "D57.1", text: "Sickle-cell anaemia", chronic: true, minAge: 1, maxAge: 40, weight: 2, panels: []string{"blood"}, admitted: 0.3,
			drugs: []drug{{"B03BB01", "Folic acid 5 mg tablet", 5, "mg", 1, 0, "oral", "tablet"}}},
		{icd: "N18.9", text: "Chronic kidney disease", chronic: true, minAge: 45, maxAge: 90, weight: 3, panels: []string{"renal", "blood"}, systolic: 15, procedure: "ultrasound",
			drugs: []drug{{"C03CA01", "Furosemide 40 mg tablet", 40, "mg", 1, 0, "oral", "tablet"}}},
		{icd: "B50.9", text: "Malaria, Plasmodium falciparum", minAge: 0, maxAge: 90, weight: 16, fever: true, panels: []string{"malaria", "blood"}, admitted: 0.15,
			drugs: []drug{{"P01BF01", "Artemether 20 mg and lumefantrine 120 mg tablet", 4, "", 2, 3, "oral", "tablet"}, paracetamol}},
		{icd: "A01.0", text: "Typhoid fever", minAge: 3, maxAge: 80, weight: 6, fever: true, panels: []string{"blood", "liver"}, admitted: 0.2,
			drugs: []drug{{"J01FA10", "Azithromycin 500 mg tablet", 500, "mg", 1, 7, "oral", "tablet"}, paracetamol}},
		{icd: "J18.9", text: "Pneumonia", minAge: 0, maxAge: 90, weight: 6, fever: true, panels: []string{"blood"}, admitted: 0.35, procedure: "chest film", drugs: []drug{amoxicillin, paracetamol}},
		{icd: "J06.9", text: "Acute upper respiratory infection", minAge: 0, maxAge: 90, weight: 16, fever: true, drugs: []drug{paracetamol}},
		{icd: "A09", text: "Gastroenteritis", minAge: 0, maxAge: 90, weight: 12, panels: []string{"renal"}, admitted: 0.1,
			drugs: []drug{{"A07CA", "Oral rehydration salts, sachet", 1, "", 4, 3, "oral", "sachet"}}},
		{icd: "N39.0", text: "Urinary tract infection", minAge: 2, maxAge: 90, sex: 'f', weight: 9, panels: []string{"renal"},
			drugs: []drug{{"J01XE01", "Nitrofurantoin 100 mg capsule", 100, "mg", 2, 5, "oral", "capsule"}}},
		{icd: "D50.9", text: "Iron deficiency anaemia", minAge: 1, maxAge: 90, sex: 'f', weight: 8, panels: []string{"blood"},
			drugs: []drug{{"B03AA07", "Ferrous sulfate 200 mg tablet", 200, "mg", 1, 90, "oral", "tablet"}}},
		{icd: "B65.9", text: "Schistosomiasis", minAge: 5, maxAge: 60, weight: 4, panels: []string{"blood"},
			drugs: []drug{{"P02BA01", "Praziquantel 600 mg tablet", 3, "", 1, 1, "oral", "tablet"}}},
		{icd: "K29.7", text: "Gastritis", minAge: 15, maxAge: 90, weight: 8, drugs: []drug{{"A02BC01", "Omeprazole 20 mg capsule", 20, "mg", 1, 28, "oral", "capsule"}}},
		{icd: "M54.5", text: "Low back pain", minAge: 20, maxAge: 90, weight: 8, drugs: []drug{{"M01AE01", "Ibuprofen 400 mg tablet", 400, "mg", 3, 5, "oral", "tablet"}}},
		{icd: "H66.9", text: "Otitis media", minAge: 0, maxAge: 12, weight: 10, fever: true, drugs: []drug{amoxicillin}},
		{icd: "S61.9", text: "Wound of the hand", minAge: 3, maxAge: 80, weight: 5, procedure: "suture", drugs: []drug{paracetamol}},
		{icd: "Z34.9", text: "Supervision of pregnancy", minAge: 19, maxAge: 42, sex: 'f', weight: 14, panels: []string{"blood", "sugar"}, procedure: "ultrasound",
			drugs: []drug{{"B03AD03", "Ferrous sulfate 200 mg and folic acid 0.4 mg tablet", 1, "", 1, 90, "oral", "tablet"}}},
	}
}

// procedures by the group's own code.
func procedures() map[string][2]string {
	return map[string][2]string{
		"ultrasound": {"US-ABD", "Abdominal ultrasound"}, "chest film": {"XR-CHEST", "Chest radiograph"},
		"suture": {"SUTURE", "Suture of a wound"}, "nebuliser": {"NEB", "Nebuliser treatment"},
	}
}

// candidates are the illnesses that a patient of that age and sex may have, each as often as its weight.
func candidates(age int, male bool, chronic bool) []illness {
	var out []illness
	for _, x := range illnesses() {
		if x.chronic != chronic || age < x.minAge || age > x.maxAge || x.sex == 'f' && male || x.sex == 'm' && !male {
			continue
		}
		for range x.weight {
			out = append(out, x)
		}
	}
	return out
}
