package hospital

// test is one laboratory test: LOINC code, our own wording, UCUM unit, the range in health, and digits after the point.
type test struct {
	loinc, text, unit, ucum string
	low, high               float64
	digits                  int
}

// panel is a group of tests with the LOINC code of its report.
type panel struct {
	loinc, text string
	tests       []test
}

func panels() map[string]panel {
	return map[string]panel{
		"blood": {"58410-2", "Complete blood count", []test{
			{"718-7", "Haemoglobin", "g/dL", "g/dL", 12, 16, 1}, {"6690-2", "Leukocytes", "10*3/uL", "10*3/uL", 4, 10, 1},
			{"777-3", "Platelets", "10*3/uL", "10*3/uL", 150, 400, 0}, {"4544-3", "Haematocrit", "%", "%", 36, 48, 1},
			{"787-2", "Mean corpuscular volume", "fL", "fL", 80, 98, 0}}},
		"renal": {"24362-6", "Renal function", []test{
			{"2160-0", "Creatinine", "mg/dL", "mg/dL", 0.6, 1.2, 2}, {"3091-6", "Urea", "mg/dL", "mg/dL", 15, 42, 0},
			{"2951-2", "Sodium", "mmol/L", "mmol/L", 136, 145, 0}, {"2823-3", "Potassium", "mmol/L", "mmol/L", 3.5, 5.1, 1}}},
		"liver": {"24325-3", "Liver function", []test{
			{"1742-6", "Alanine aminotransferase", "U/L", "U/L", 7, 45, 0}, {"1920-8", "Aspartate aminotransferase", "U/L", "U/L", 8, 40, 0},
			{"1975-2", "Bilirubin, total", "mg/dL", "mg/dL", 0.2, 1.2, 1}}},
		"lipids": {"24331-1", "Lipids", []test{
			{"2093-3", "Cholesterol", "mg/dL", "mg/dL", 120, 200, 0}, {"2571-8", "Triglycerides", "mg/dL", "mg/dL", 50, 150, 0},
			{"2085-9", "HDL cholesterol", "mg/dL", "mg/dL", 40, 70, 0}}},
		"sugar": {"55399-0", "Diabetes tests", []test{
			{"1558-6", "Glucose, fasting", "mg/dL", "mg/dL", 70, 100, 0}, {"4548-4", "Haemoglobin A1c", "%", "%", 4.2, 5.7, 1}}},
		"malaria": {"32700-7", "Malaria parasites, blood film", nil},
	}
}

// shift says how an illness moves a test's middle, as a factor; 1 where it does not.
func shift(x illness, t test) float64 {
	switch {
	case x.glycemic > 0 && (t.loinc == "1558-6" || t.loinc == "4548-4"):
		return x.glycemic
	case x.icd == "N18.9" && (t.loinc == "2160-0" || t.loinc == "3091-6"):
		return 2.6
	case (x.icd == "D50.9" || x.icd == "D57.1") && (t.loinc == "718-7" || t.loinc == "4544-3"):
		return 0.68
	case x.icd == "D50.9" && t.loinc == "787-2":
		return 0.82
	case x.icd == "B50.9" && t.loinc == "777-3":
		return 0.5
	case x.fever && t.loinc == "6690-2":
		return 1.6
	case x.icd == "A01.0" && (t.loinc == "1742-6" || t.loinc == "1920-8"):
		return 2.2
	}
	return 1
}
