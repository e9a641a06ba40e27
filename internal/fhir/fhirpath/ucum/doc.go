// Package ucum reads units of the Unified Code for Units of Measure (case sensitive form) and turns values into base
// units, exactly: factors are fractions. It knows the base units, the metric prefixes, the customary units that
// clinical data uses, and temperatures; arbitrary units ([iU], [arb'U]) are dimensions of their own, and logarithmic
// ones (pH, B) can be compared with themselves alone.
package ucum
