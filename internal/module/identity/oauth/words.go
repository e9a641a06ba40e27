package oauth

import (
	"maps"
	"slices"
	"strings"
)

// pageTexts are what the pages say, in English and Arabic.
var pageTexts = map[string][2]string{
	"title":          {"Sign in", "تسجيل الدخول"},
	"signin":         {"Sign in", "تسجيل الدخول"},
	"signin_with":    {"Sign in with", "الدخول بواسطة"},
	"for_app":        {"to go on to", "للمتابعة إلى"},
	"email":          {"E-mail", "البريد الإلكتروني"},
	"password":       {"Password", "كلمة المرور"},
	"wrong":          {"The e-mail or the password is wrong.", "البريد الإلكتروني أو كلمة المرور غير صحيحة."},
	"locked":         {"This account cannot sign in now.", "لا يمكن لهذا الحساب تسجيل الدخول الآن."},
	"too_many":       {"These were too many tries. Wait a while.", "محاولات كثيرة. انتظر قليلا ثم أعد المحاولة."},
	"second":         {"Second step", "الخطوة الثانية"},
	"second_text":    {"Enter the code of your authenticator app, or a recovery code.", "أدخل رمز تطبيق المصادقة أو أحد رموز الاسترداد."},
	"code":           {"Code", "الرمز"},
	"wrong_code":     {"The code is wrong or too old.", "الرمز غير صحيح أو انتهت صلاحيته."},
	"go_on":          {"Continue", "متابعة"},
	"back":           {"Back", "رجوع"},
	"cancel":         {"Cancel", "إلغاء"},
	"choose_patient": {"Choose a patient", "اختر المريض"},
	"name":           {"Name", "الاسم"},
	"birthdate":      {"Birth date", "تاريخ الميلاد"},
	"identifier":     {"Identifier", "رقم التعريف"},
	"search":         {"Search", "بحث"},
	"nobody":         {"Nobody was found.", "لم يعثر على أحد."},
	"no_patient":     {"This patient cannot be chosen.", "لا يمكن اختيار هذا المريض."},
	"no_query":       {"Enter a name, a birth date or an identifier.", "أدخل الاسم أو تاريخ الميلاد أو رقم التعريف."},
	"bad_query":      {"This cannot be searched for.", "لا يمكن البحث بهذه البيانات."},
	"male":           {"male", "ذكر"},
	"female":         {"female", "أنثى"},
	"other":          {"other", "آخر"},
	"unknown":        {"unknown", "غير معروف"},
	"consent":        {"Allow this app?", "هل تسمح لهذا التطبيق؟"},
	"asks":           {"asks for permission to:", "يطلب الإذن بما يلي:"},
	"signed_in_as":   {"You are signed in as", "أنت مسجل الدخول باسم"},
	"about":          {"The patient:", "المريض:"},
	"consent_note": {"Uncheck what you do not want to allow. You can withdraw this at any time among the apps of your account.",
		"أزل علامة ما لا تريد السماح به. يمكنك سحب الإذن في أي وقت من تطبيقات حسابك."},
	"app_site":     {"The app's site:", "موقع التطبيق:"},
	"policy":       {"How the app uses data", "كيف يستخدم التطبيق البيانات"},
	"tos":          {"The app's terms", "شروط التطبيق"},
	"allow":        {"Allow", "سماح"},
	"deny":         {"Do not allow", "عدم السماح"},
	"device":       {"Connect a device", "ربط جهاز"},
	"device_text":  {"Enter the code that your device shows.", "أدخل الرمز الظاهر على جهازك."},
	"user_code":    {"Code", "الرمز"},
	"bad_code":     {"This code is not known or too old.", "هذا الرمز غير معروف أو انتهت صلاحيته."},
	"device_check": {"Allow this only if your device shows this code:", "اسمح بذلك فقط إذا كان جهازك يعرض هذا الرمز:"},
	"device_done":  {"The device is connected. Go back to it.", "تم ربط الجهاز. عد إليه."},
	"device_no":    {"The device was not connected.", "لم يتم ربط الجهاز."},
	"logout":       {"Sign out", "تسجيل الخروج"},
	"logout_text":  {"Do you want to sign out?", "هل تريد تسجيل الخروج؟"},
	"logged_out":   {"You are signed out.", "تم تسجيل خروجك."},
	"failed":       {"This request cannot be answered.", "لا يمكن تنفيذ هذا الطلب."},
	"stale":        {"This sign-in is over. Go back to the app and begin again.", "انتهت عملية الدخول هذه. عد إلى التطبيق وابدأ من جديد."},
}

func textOf(lang, key string) string {
	t, ok := pageTexts[key]
	switch {
	case !ok:
		return key
	case lang == "ar":
		return t[1]
	}
	return t[0]
}

// plainWords say what scopes mean that are about no records.
var plainWords = map[string][2]string{
	"openid":         {"Know who you are", "معرفة من أنت"},
	"profile":        {"See your name and your language", "الاطلاع على اسمك ولغتك"},
	"email":          {"See your e-mail address", "الاطلاع على بريدك الإلكتروني"},
	"fhirUser":       {"See your own record as a user (practitioner or patient)", "الاطلاع على سجلك كمستخدم (ممارس أو مريض)"},
	"offline_access": {"Keep this access when you are away, until you withdraw it", "الاحتفاظ بهذا الإذن في غيابك حتى تسحبه"},
	"online_access":  {"Keep this access for as long as you are signed in", "الاحتفاظ بهذا الإذن ما دمت مسجل الدخول"},
}

// typeWords name the types of records that apps mostly ask for. Others are told by the name that FHIR gives them.
var typeWords = map[string][2]string{
	"*":                        {"all records", "جميع السجلات"},
	"AllergyIntolerance":       {"allergies", "الحساسية"},
	"Appointment":              {"appointments", "المواعيد"},
	"CarePlan":                 {"care plans", "خطط الرعاية"},
	"CareTeam":                 {"care teams", "فرق الرعاية"},
	"Claim":                    {"insurance claims", "مطالبات التأمين"},
	"Communication":            {"messages", "الرسائل"},
	"Condition":                {"conditions and diagnoses", "الحالات والتشخيصات"},
	"Consent":                  {"consents", "الموافقات"},
	"Coverage":                 {"insurance cover", "التغطية التأمينية"},
	"Device":                   {"devices", "الأجهزة"},
	"DiagnosticReport":         {"reports of tests", "تقارير الفحوص"},
	"DocumentReference":        {"documents and notes", "المستندات والملاحظات"},
	"Encounter":                {"visits", "الزيارات"},
	"Goal":                     {"goals", "الأهداف"},
	"Immunization":             {"vaccinations", "التطعيمات"},
	"Invoice":                  {"invoices", "الفواتير"},
	"Location":                 {"places", "الأماكن"},
	"Medication":               {"medicines", "الأدوية"},
	"MedicationAdministration": {"medicines that were given", "الأدوية المعطاة"},
	"MedicationDispense":       {"medicines that were dispensed", "الأدوية المصروفة"},
	"MedicationRequest":        {"prescriptions", "الوصفات الطبية"},
	"MedicationStatement":      {"medicines in use", "الأدوية المستخدمة"},
	"Observation":              {"measurements and test results", "القياسات ونتائج الفحوص"},
	"Organization":             {"organizations", "المؤسسات"},
	"Patient":                  {"the patient's particulars", "بيانات المريض"},
	"Practitioner":             {"practitioners", "الممارسون الصحيون"},
	"PractitionerRole":         {"roles of practitioners", "أدوار الممارسين"},
	"Procedure":                {"procedures", "الإجراءات الطبية"},
	"QuestionnaireResponse":    {"answers to questionnaires", "إجابات الاستبيانات"},
	"RelatedPerson":            {"relatives and guardians", "الأقارب والأوصياء"},
	"Schedule":                 {"schedules", "جداول المواعيد"},
	"ServiceRequest":           {"orders and referrals", "الطلبات والإحالات"},
	"Specimen":                 {"specimens", "العينات"},
	"Task":                     {"tasks", "المهام"},
}

var actWords = []struct {
	act    string
	en, ar string
}{
	{"r", "read", "قراءة"}, {"s", "search", "بحث"}, {"c", "add", "إضافة"}, {"u", "change", "تعديل"}, {"d", "delete", "حذف"},
}

var levelWords = map[string][2]string{
	"patient": {"of this patient", "لهذا المريض"},
	"user":    {"that you may see yourself", "التي يحق لك الاطلاع عليها"},
	"system":  {"of all patients", "لجميع المرضى"},
}

// describe says what a scope permits, in plain words.
func describe(lang string, sc scope) string {
	i := 0
	if lang == "ar" {
		i = 1
	}
	if sc.level == "" {
		if t, ok := plainWords[sc.text]; ok {
			return t[i]
		}
		return sc.text
	}
	var acts []string
	for _, a := range actWords {
		if strings.Contains(sc.acts, a.act) {
			acts = append(acts, [2]string{a.en, a.ar}[i])
		}
	}
	what := sc.typ
	if t, ok := typeWords[sc.typ]; ok {
		what = t[i]
	}
	sep := ", "
	if i == 1 {
		sep = "، "
	}
	text := strings.Join(acts, sep) + [2]string{" ", ": "}[i] + what + " " + levelWords[sc.level][i]
	if i == 0 {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if len(sc.query) > 0 {
		text += [2]string{", only where ", "، فقط حيث "}[i] + queryText(sc)
	}
	return text
}

func queryText(sc scope) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(sc.query)) {
		for _, v := range sc.query[k] {
			if at := strings.LastIndexByte(v, '|'); at >= 0 {
				v = v[at+1:]
			}
			parts = append(parts, k+" = "+v)
		}
	}
	return strings.Join(parts, ", ")
}

// Text is the scope as it was asked, for the pages.
func (sc scope) Text() string { return sc.text }
