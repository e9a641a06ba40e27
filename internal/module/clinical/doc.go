// Package clinical is the clinical service of the product API: patients, encounters, and what is written about them.
package clinical
