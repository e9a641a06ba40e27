// Package config reads the program's settings: flags before NILECARE_* variables before a YAML file before defaults.
//
// One table, [Config.Settings], names every setting; flags, variables, the file, the help text, `nilecare config` and
// docs/configuration.md all follow from it. A key that the table does not know is an error that names the nearest one.
package config

import "time"

// Config is the effective configuration.
type Config struct {
	Tenant          int           // that a command works on
	Data            string        // folder of the embedded database and of the keys
	Listen          string        // HOST:PORT
	Target          []string      // services that serve runs; "all"
	Ports           []string      // SERVICE=PORT
	Peers           []string      // SERVICE=URL|URL
	PeersCA         string        // file of the authorities of peers' certificates; "": the system's
	Database        string        // postgres:// URL; "" is the embedded database
	BaseURL         string        // the address that clients use, without a path at its end; "" follows the request
	RootKeyFile     string        // "" is DATA/root.key
	EncryptDatabase bool          // seal the whole embedded file
	Demo            string        // on, off, auto
	LogLevel        string        // debug, info, warn, error
	LogFormat       string        // text, json
	MaxBody         int64         // bytes of one request
	MaxEntries      int           // entries of one Bundle
	RequestTimeout  time.Duration // for one request
	StopTimeout     time.Duration // for what was accepted, after SIGTERM
	InsecureNoAuth  bool          // serve this machine without a login
	InsecureHTTP    bool          // serve other machines without TLS
	TLSCert, TLSKey string        // files
	ACMEHost        []string      // names to get certificates for
	ACMEEmail       string
	ACMETerms       bool
	ClientCA        string   // file of the authorities of client certificates
	ClientCerts     string   // none, optional, required
	Allow           []string // networks
	Proxies         []string // networks
	CORSOrigins     []string
	RateLimits      bool
	SMTP            string // smtp:// or smtps:// URL without password
	MailFrom        string
	SMS             string   // http:// or https:// URL of the gateway of text messages, without password
	SMSFrom         string   // their sender
	SMSBody         string   // the template of a request; "": a small JSON object
	SMSHeader       string   // the header of the secret SMS_TOKEN; "": Authorization
	Private         []string // networks of webhooks' receivers, beside the public ones
	Registration    string   // of OAuth clients: off, token, open
	Policies        string   // file of Cedar policies; "": the program's own
	Breached        string   // file of breached passwords
	RequireMFA      []string // roles
	Secrets         string   // folder of files with secrets
	KafkaBrokers    []string // HOST:PORT; none: events go to no Kafka
	KafkaPrefix     string   // before the names of topics
	KafkaTLS        bool
	KafkaCA         string // file of the authorities of the brokers' certificates; "": the system's
	KafkaSASL       string // none, plain, scram-sha-256, scram-sha-512
	KafkaUser       string
	OTelEndpoint    string // OTLP/HTTP collector; "" sends no traces
}

// Setting is one line of the table, or one flag of a command.
type Setting struct {
	Name    string // as a flag and in the file; NILECARE_NAME in the environment
	Default string
	Help    string // one line, no full stop
	Secret  bool   // the value is never shown
	Value   Value
}

// Value reads and shows one setting.
type Value interface {
	// Set takes the text of a flag, a variable or the file. Its error says what is allowed.
	Set(string) error
	// String shows the value as Set would take it.
	String() string
}

// Settings is the table of settings, bound to c.
func (c *Config) Settings() []Setting {
	return []Setting{
		{Name: "data", Default: "./data", Value: Text(&c.Data), Help: "folder of the embedded database and of the keys"},
		{Name: "listen", Default: "127.0.0.1:7000", Value: Address(&c.Listen), Help: "HOST:PORT to serve on"},
		{Name: "target", Default: "all", Value: List(&c.Target), Help: "services that this process is, such as scheduling,facility; split ones need PostgreSQL and a gateway process (--target=gateway)"},
		{Name: "ports", Value: List(&c.Ports), Help: "ports of split services in the place of the usual ones, such as clinical=7101,facility=7102"},
		{Name: "peers", Value: List(&c.Peers), Help: "where the gateway finds services, such as clinical=http://10.0.0.7:7001|http://10.0.0.8:7001; a service that is not named is at its port on the host of listen"},
		{Name: "peers-ca", Value: Text(&c.PeersCA), Help: "file of the authorities that sign the services' certificates (PEM); empty is the system's"},
		{Name: "database", Value: URL(&c.Database, "postgres", "postgresql"),
			Help: "postgres://USER:PASSWORD@HOST/NAME; empty is the embedded SQLite database in the data folder"},
		{Name: "tenant", Default: "1", Value: Count(&c.Tenant), Help: "number of the tenant that a command works on"},
		{Name: "base-url", Value: URL(&c.BaseURL, "http", "https"),
			Help: "address that clients use, such as https://fhir.example.org; empty follows the request"},
		{Name: "root-key-file", Value: Text(&c.RootKeyFile), Help: "file of the key that seals all keys; empty is root.key in the data folder"},
		{Name: "encrypt-database", Default: "false", Value: Bool(&c.EncryptDatabase),
			Help: "seal the whole embedded file as well, names and codes in the indexes included"},
		{Name: "demo", Default: "off", Value: Choice(&c.Demo, "off", "auto", "on"),
			Help: "load a small synthetic hospital: auto loads it into an empty database, on refuses one that is not empty"},
		{Name: "log-level", Default: "info", Value: Choice(&c.LogLevel, "debug", "info", "warn", "error"), Help: "least level that is logged"},
		{Name: "log-format", Default: "text", Value: Choice(&c.LogFormat, "text", "json"), Help: "how a line of the log is written"},
		{Name: "max-body", Default: "64MiB", Value: Size(&c.MaxBody), Help: "largest request body"},
		{Name: "max-entries", Default: "20000", Value: Count(&c.MaxEntries), Help: "most entries of one Bundle"},
		{Name: "request-timeout", Default: "60s", Value: Duration(&c.RequestTimeout), Help: "longest that one request may take"},
		{Name: "stop-timeout", Default: "30s", Value: Duration(&c.StopTimeout), Help: "longest that a stop waits for accepted requests"},
		{Name: "insecure-no-auth", Default: "false", Value: Bool(&c.InsecureNoAuth),
			Help: "let everybody on this machine do everything without signing in; refused on an address that other machines reach"},
		{Name: "insecure-http", Default: "false", Value: Bool(&c.InsecureHTTP),
			Help: "serve an address that other machines reach without TLS: for a proxy in front that has it"},
		{Name: "tls-cert", Value: Text(&c.TLSCert), Help: "file of the server's certificate chain (PEM); read again when it changes"},
		{Name: "tls-key", Value: Text(&c.TLSKey), Help: "file of the certificate's key (PEM)"},
		{Name: "acme-host", Value: List(&c.ACMEHost), Help: "names to get certificates for from Let's Encrypt, with commas between them"},
		{Name: "acme-email", Value: Text(&c.ACMEEmail), Help: "address that the certificate authority writes to"},
		{Name: "acme-accept-terms", Default: "false", Value: Bool(&c.ACMETerms), Help: "say that you accept the certificate authority's terms; without it no certificate is asked for"},
		{Name: "client-ca", Value: Text(&c.ClientCA), Help: "file of the authorities that sign clients' certificates (PEM)"},
		{Name: "client-certs", Default: "none", Value: Choice(&c.ClientCerts, "none", "optional", "required"), Help: "whether clients prove who they are by a certificate"},
		{Name: "allow", Value: List(&c.Allow), Help: "networks that are served at all, such as 10.0.0.0/8,192.168.1.7; empty serves all"},
		{Name: "proxies", Value: List(&c.Proxies), Help: "networks of proxies whose X-Forwarded-For is believed"},
		{Name: "cors-origins", Value: List(&c.CORSOrigins), Help: "origins whose pages may call the APIs, such as https://app.example.org"},
		{Name: "rate-limits", Default: "true", Value: Bool(&c.RateLimits), Help: "limit how often a caller may ask"},
		{Name: "smtp", Value: URL(&c.SMTP, "smtp", "smtps"), Help: "mail server, such as smtps://user@mail.example.org; its password is the secret SMTP_PASSWORD; empty keeps mail in the outbox"},
		{Name: "mail-from", Value: Text(&c.MailFrom), Help: "address that mail comes from"},
		{Name: "sms", Value: URL(&c.SMS, "http", "https"), Help: "gateway of text messages, such as https://user@sms.example.org/send; the user's password is the secret SMS_PASSWORD, without a user the secret SMS_TOKEN is sent, if there is one; empty keeps text messages in the outbox"},
		{Name: "sms-from", Value: Text(&c.SMSFrom), Help: "number or name that text messages come from"},
		{Name: "sms-body", Value: Text(&c.SMSBody), Help: "what is sent to the gateway, with {to}, {from} and {text} in it: JSON, or a form such as To={to}&From={from}&Body={text}; empty is {\"to\":\"{to}\",\"from\":\"{from}\",\"text\":\"{text}\"}"},
		{Name: "sms-header", Value: Text(&c.SMSHeader), Help: "header that the secret SMS_TOKEN is sent in; empty is Authorization, with Bearer"},
		{Name: "webhook-networks", Value: List(&c.Private), Help: "networks that are not public and may receive webhooks all the same, such as 10.1.0.0/16,127.0.0.0/8; http is admitted there"},
		{Name: "registration", Default: "off", Value: Choice(&c.Registration, "off", "token", "open"), Help: "who may register apps by themselves: nobody, those with an initial access token, or everybody"},
		{Name: "policies", Value: Text(&c.Policies), Help: "file of access policies in Cedar; empty is the program's own"},
		{Name: "breached-passwords", Value: Text(&c.Breached), Help: "sorted file of SHA-1 hashes of breached passwords; empty is the built-in list alone"},
		{Name: "require-mfa", Value: List(&c.RequireMFA), Help: "roles that do nothing without a second factor, such as admin,doctor"},
		{Name: "secrets", Value: Text(&c.Secrets), Help: "folder of files with secrets, each named as its secret; they are also taken from variables, or the files that NAME_FILE variables name"},
		{Name: "kafka-brokers", Value: List(&c.KafkaBrokers), Help: "brokers that events are handed on to, such as k1.example.org:9092,k2.example.org:9092; empty hands on none"},
		{Name: "kafka-prefix", Value: Text(&c.KafkaPrefix), Help: "what stands before the names of topics, such as clinic. for clinic.patient-events"},
		{Name: "kafka-tls", Default: "false", Value: Bool(&c.KafkaTLS), Help: "speak TLS to the brokers"},
		{Name: "kafka-ca", Value: Text(&c.KafkaCA), Help: "file of the authorities that sign the brokers' certificates (PEM); empty is the system's"},
		{Name: "kafka-sasl", Default: "none", Value: Choice(&c.KafkaSASL, "none", "plain", "scram-sha-256", "scram-sha-512"), Help: "how to sign in at the brokers, as kafka-user with the secret KAFKA_PASSWORD; plain needs kafka-tls"},
		{Name: "kafka-user", Value: Text(&c.KafkaUser), Help: "user of the brokers"},
		{Name: "otel-endpoint", Value: URL(&c.OTelEndpoint, "http", "https"),
			Help: "OTLP/HTTP collector for traces, such as http://127.0.0.1:4318; empty sends none"},
	}
}
