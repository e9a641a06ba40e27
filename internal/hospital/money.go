package hospital

import (
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// prices in Sudanese pounds, net.
const (
	priceVisit = 15000
	priceDay   = 60000
	priceTests = 9000
)

// invoice is what the visit cost; the insured also have a claim to the fund.
func (c *chart) invoice(encounter string, at, end time.Time, admitted bool) {
	code, text, price, count := "VISIT", "Outpatient consultation", priceVisit, 1
	if admitted {
		code, text, price, count = "DAY", "Day in the ward", priceDay, int(end.Sub(at).Hours()/24)+1
	}
	total := price*count + priceTests
	if c.covered != "" {
		c.add(c.claim(encounter, at, end, code, text, price, count))
	}
	c.add(resource("Invoice", identifier(systemInvoice, c.draw.digits(10)), s("status", "balanced"), ref("subject", c.patient), s("date", instant(end)),
		ref("issuer", organization(c.site.key)),
		list("lineItem", line(1, code, text, price*count), line(2, "TESTS", "Tests and consumables", priceTests)),
		n("totalNet", pounds(total)), n("totalGross", pounds(total))))
}

func line(number int, code, text string, amount int) *fhir.Node {
	return object(i("sequence", number), n("chargeItemCodeableConcept", concept(systemService, code, text, "")),
		list("priceComponent", object(s("type", "base"), n("amount", pounds(amount)))))
}

func pounds(amount int) *fhir.Node {
	return object(d("value", float64(amount), 2), s("currency", "SDG"))
}

func (c *chart) claim(encounter string, at, end time.Time, code, text string, price, count int) *fhir.Node {
	return resource("Claim", s("status", "active"), n("type", concept("http://terminology.hl7.org/CodeSystem/claim-type", "institutional", "Institutional", "")), s("use", "claim"),
		ref("patient", c.patient), o("billablePeriod", s("start", instant(at)), s("end", instant(end))), s("created", instant(end)), ref("insurer", organization(fund)),
		ref("provider", organization(c.site.key)), n("priority", concept("http://terminology.hl7.org/CodeSystem/processpriority", "normal", "Normal", "")),
		list("insurance", object(i("sequence", 1), b("focal", true), ref("coverage", c.covered))),
		list("item", object(i("sequence", 1), n("category", concept(systemBenefit, "CARE", "", "")), n("productOrService", concept(systemService, code, text, "")),
			o("servicedPeriod", s("start", date(at)), s("end", date(end))), o("quantity", i("value", count)), n("unitPrice", pounds(price)), n("net", pounds(price*count)),
			refs("encounter", encounter))), n("total", pounds(price*count)))
}
