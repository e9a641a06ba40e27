package app

import (
	"net/http"
	"strconv"
)

// messages makes what a path of the services that tell people and other servers can name.
func (c *clinic) messages(admin caller) map[string]string {
	c.t.Helper()
	send := func(channel string) string {
		return c.member(c.call(admin, http.MethodPost, "/api/v1/notifications/send",
			`{"userId":"`+strconv.FormatInt(admin.user, 10)+`","channel":"`+channel+`","type":"task","title":"Results","message":"Please look"}`), "data.id")
	}
	send("sms") // it waits: there is no carrier
	return map[string]string{
		"/api/v1/notifications/": send("websocket"),
		"/api/v1/jobs/":          c.member(c.call(admin, http.MethodGet, "/api/v1/jobs?kind=notification.sms", ""), "data.jobs.id"),
		"/api/v1/webhooks/":      c.member(c.call(admin, http.MethodPost, "/api/v1/webhooks", `{"url":"https://receiver.example/hook","events":["*"]}`), "data.id"),
	}
}
