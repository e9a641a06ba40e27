package app

import "net/http"

// places are a facility with a department, a ward and a bed, by the beginnings of the paths that name them.
func (c *clinic) places(admin caller) map[string]string {
	c.t.Helper()
	post := func(path, body string) string {
		c.t.Helper()
		return c.member(c.call(admin, http.MethodPost, path, body), "data.id")
	}
	facility := post("/api/v1/facilities", `{"name":"Blue Nile","type":"hospital","address":"12 Nile Street"}`)
	department := post("/api/v1/departments", `{"facilityId":"`+facility+`","name":"Medicine","code":"MED"}`)
	ward := post("/api/v1/wards", `{"facilityId":"`+facility+`","departmentId":"`+department+`","name":"Ward","wardCode":"W","wardType":"medical","totalBeds":1}`)
	return map[string]string{
		"/api/v1/facilities/":        facility,
		"/api/v1/settings/facility/": facility,
		"/api/v1/mrn-formats/":       facility,
		"/api/v1/departments/":       department,
		"/api/v1/wards/":             ward,
		"/api/v1/beds/":              post("/api/v1/beds", `{"wardId":"`+ward+`","bedNumber":"1","bedType":"standard"}`),
	}
}
