package fhirpath

import (
	"strconv"
)

// Value is a value of a System type: [Boolean], [String], [Integer], [Decimal], [Temporal] (Date, DateTime, Time) or
// [Quantity].
type Value interface {
	// SystemType returns the type's name without its namespace: "Boolean", "DateTime", …
	SystemType() string
	// String returns what toString() gives.
	String() string
}

// Boolean is System.Boolean.
type Boolean bool

// SystemType implements Value.
func (Boolean) SystemType() string { return "Boolean" }

// String implements Value.
func (b Boolean) String() string { return strconv.FormatBool(bool(b)) }

// String is System.String.
type String string

// SystemType implements Value.
func (String) SystemType() string { return "String" }

// String implements Value.
func (s String) String() string { return string(s) }

// Integer is System.Integer, of 32 bits.
type Integer int32

// SystemType implements Value.
func (Integer) SystemType() string { return "Integer" }

// String implements Value.
func (i Integer) String() string { return strconv.FormatInt(int64(i), 10) }

// typeInfo is what type() returns; its members are namespace and name.
type typeInfo struct{ namespace, name string }

// SystemType implements Value.
func (typeInfo) SystemType() string { return "ClassInfo" }

// String implements Value.
func (t typeInfo) String() string { return t.namespace + "." + t.name }
