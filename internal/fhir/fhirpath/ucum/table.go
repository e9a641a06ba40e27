package ucum

import "math/big"

// entry defines a unit: value times another unit expression. An empty base makes the unit a dimension of its own.
type entry struct {
	value  string // a decimal number or fraction
	base   string // in units of this table; "" for a base unit, "1" for a pure number
	offset string // temperatures: added before the factor
	metric bool   // takes prefixes
	self   string // the base unit's name
}

func (e entry) unit() (*Unit, bool) {
	factor, ok := new(big.Rat).SetString(e.value)
	if !ok {
		return nil, false
	}
	if e.self != "" {
		return &Unit{factor: factor, dims: map[string]int{e.self: 1}}, true
	}
	u := number(1)
	if e.base != "1" {
		p := parser{rest: e.base}
		if u, ok = p.terms(); !ok {
			return nil, false
		}
	}
	out := &Unit{factor: factor.Mul(factor, u.factor), dims: u.dims}
	if e.offset != "" {
		out.offset, ok = new(big.Rat).SetString(e.offset)
	}
	return out, ok
}

var prefixes = map[string]string{
	"Y": "1e24", "Z": "1e21", "E": "1e18", "P": "1e15", "T": "1e12", "G": "1e9", "M": "1e6", "k": "1e3", "h": "1e2", "da": "1e1",
	"d": "1e-1", "c": "1e-2", "m": "1e-3", "u": "1e-6", "n": "1e-9", "p": "1e-12", "f": "1e-15", "a": "1e-18", "z": "1e-21", "y": "1e-24",
	"Ki": "1024", "Mi": "1048576", "Gi": "1073741824", "Ti": "1099511627776",
}

func base(name string) entry              { return entry{value: "1", self: name, metric: true} }
func metric(value, of string) entry       { return entry{value: value, base: of, metric: true} }
func plain(value, of string) entry        { return entry{value: value, base: of} }
func arbitrary(name string, m bool) entry { return entry{value: "1", self: name, metric: m} }
func degrees(f, of, offset string) entry {
	return entry{value: f, base: of, offset: offset, metric: of == "K" && f == "1"}
}

const pi = "3.1415926535897932384626433832795028841971693993751058209749445923"

// atoms are the units by their case sensitive codes (UCUM 2.1, tables 1 to 8 as far as clinical data goes).
var atoms = map[string]entry{
	"m": base("m"), "s": base("s"), "g": base("g"), "rad": base("rad"), "K": base("K"), "C": base("C"), "cd": base("cd"),
	// pure numbers
	"10*": plain("10", "1"), "10^": plain("10", "1"), "%": plain("0.01", "1"), "[ppth]": plain("1e-3", "1"),
	"[ppm]": plain("1e-6", "1"), "[ppb]": plain("1e-9", "1"), "[pptr]": plain("1e-12", "1"), "[pi]": plain(pi, "1"),
	"mol": metric("6.0221367e23", "1"), "eq": metric("1", "mol"), "osm": metric("1", "mol"),
	// SI
	"sr": metric("1", "rad2"), "Hz": metric("1", "s-1"), "N": metric("1", "kg.m/s2"), "Pa": metric("1", "N/m2"),
	"J": metric("1", "N.m"), "W": metric("1", "J/s"), "A": metric("1", "C/s"), "V": metric("1", "J/C"), "F": metric("1", "C/V"),
	"Ohm": metric("1", "V/A"), "S": metric("1", "Ohm-1"), "Wb": metric("1", "V.s"), "T": metric("1", "Wb/m2"),
	"H": metric("1", "Wb/A"), "lm": metric("1", "cd.sr"), "lx": metric("1", "lm/m2"), "Bq": metric("1", "s-1"),
	"Gy": metric("1", "J/kg"), "Sv": metric("1", "J/kg"), "kat": metric("1", "mol/s"), "U": metric("1", "umol/min"),
	"l": metric("1", "dm3"), "L": metric("1", "l"), "ar": metric("100", "m2"), "t": metric("1000", "kg"),
	"bar": metric("1e5", "Pa"), "u": metric("1.6605402e-24", "g"), "eV": metric("1.60217733e-19", "J"), "pc": metric("3.085678e16", "m"),
	"gf": metric("9.80665", "g.m/s2"), "st": metric("1", "m3"), "G": metric("1e-4", "T"), "P": metric("1", "dyn.s/cm2"),
	"dyn": metric("1", "g.cm/s2"), "erg": metric("1", "dyn.cm"), "Ci": metric("3.7e10", "Bq"), "R": metric("2.58e-4", "C/kg"),
	"RAD": metric("100", "erg/g"), "REM": metric("1", "RAD"), "St": metric("1", "cm2/s"), "Lmb": metric("1/3", "cd/cm2"),
	"cal": metric("4.184", "J"), "cal_th": metric("4.184", "J"), "cal_IT": metric("4.1868", "J"), "cal_m": metric("4.19002", "J"),
	"[Cal]": plain("1", "kcal_th"), "[Btu]": plain("1.05587", "kJ"), "g%": metric("1", "g/dl"), "[S]": plain("1e-13", "s"),
	"bit": metric("1", "1"), "By": metric("8", "bit"), "Bd": metric("1", "s-1"), "[car_m]": plain("0.2", "g"), "tex": metric("1", "g/km"),
	// time
	"min": plain("60", "s"), "h": plain("60", "min"), "d": plain("24", "h"), "wk": plain("7", "d"), "a_j": plain("365.25", "d"),
	"a_t": plain("365.24219", "d"), "a_g": plain("365.2425", "d"), "a": plain("1", "a_j"), "mo_s": plain("29.53059", "d"),
	"mo_j": plain("1/12", "a_j"), "mo_g": plain("1/12", "a_g"), "mo": plain("1", "mo_j"),
	// angles
	"deg": plain(pi+"e0", "rad/180"), "gon": plain("0.9", "deg"), "'": plain("1/60", "deg"), "''": plain("1/60", "'"),
	// pressure
	"m[Hg]": metric("133.322", "kPa"), "m[H2O]": metric("9.80665", "kPa"), "atm": plain("101325", "Pa"), "att": plain("98066.5", "Pa"),
	"[psi]": plain("1", "[lbf_av]/[in_i]2"), "[lbf_av]": plain("9.80665", "[lb_av].m/s2"), "[in_i'Hg]": plain("1", "m[Hg].[in_i]/m"),
	"[PRU]": plain("1", "mm[Hg].s/ml"),
	// length, area
	"Ao": plain("0.1", "nm"), "[in_i]": plain("2.54", "cm"), "[ft_i]": plain("12", "[in_i]"), "[yd_i]": plain("3", "[ft_i]"),
	"[mi_i]": plain("5280", "[ft_i]"), "[nmi_i]": plain("1852", "m"), "[kn_i]": plain("1", "[nmi_i]/h"), "[fth_i]": plain("6", "[ft_i]"),
	"[mil_i]": plain("1e-3", "[in_i]"), "[sin_i]": plain("1", "[in_i]2"), "[sft_i]": plain("1", "[ft_i]2"), "[syd_i]": plain("1", "[yd_i]2"),
	"[cin_i]": plain("1", "[in_i]3"), "[cft_i]": plain("1", "[ft_i]3"), "[cyd_i]": plain("1", "[yd_i]3"), "[hd_i]": plain("4", "[in_i]"),
	"[acr_us]": plain("4046.872609874252", "m2"), "[ft_us]": plain("1200/3937", "m"), "[in_us]": plain("100/3937", "m"),
	"[Ch]": plain("1/3", "mm"), "[in_br]": plain("2.539998", "cm"), "[ft_br]": plain("12", "[in_br]"), "b": metric("100", "fm2"),
	"[diop]": plain("1", "m-1"), "AU": plain("149597.870691", "Mm"), "[ly]": plain("9460730472580.8", "km"),
	// mass
	"[gr]": plain("64.79891", "mg"), "[lb_av]": plain("7000", "[gr]"), "[oz_av]": plain("1/16", "[lb_av]"), "[dr_av]": plain("1/16", "[oz_av]"),
	"[stone_av]": plain("14", "[lb_av]"), "[ston_av]": plain("2000", "[lb_av]"), "[lton_av]": plain("2240", "[lb_av]"),
	"[scwt_av]": plain("100", "[lb_av]"), "[lcwt_av]": plain("112", "[lb_av]"), "[pwt_tr]": plain("24", "[gr]"), "[oz_tr]": plain("480", "[gr]"),
	"[lb_tr]": plain("5760", "[gr]"), "[sc_ap]": plain("20", "[gr]"), "[dr_ap]": plain("60", "[gr]"), "[oz_ap]": plain("480", "[gr]"),
	"[lb_ap]": plain("5760", "[gr]"), "[oz_m]": plain("28", "g"),
	// volume
	"[gal_us]": plain("231", "[in_i]3"), "[qt_us]": plain("1/4", "[gal_us]"), "[pt_us]": plain("1/8", "[gal_us]"), "[gil_us]": plain("1/32", "[gal_us]"),
	"[foz_us]": plain("1/128", "[gal_us]"), "[fdr_us]": plain("1/1024", "[gal_us]"), "[min_us]": plain("1/61440", "[gal_us]"),
	"[cup_us]": plain("16", "[tbs_us]"), "[tbs_us]": plain("1/2", "[foz_us]"), "[tsp_us]": plain("1/3", "[tbs_us]"), "[crd_us]": plain("128", "[ft_i]3"),
	"[bbl_us]": plain("42", "[gal_us]"), "[foz_m]": plain("30", "ml"), "[cup_m]": plain("240", "ml"), "[tsp_m]": plain("5", "ml"),
	"[tbs_m]": plain("15", "ml"), "[gal_br]": plain("4.54609", "l"), "[qt_br]": plain("1/4", "[gal_br]"), "[pt_br]": plain("1/8", "[gal_br]"),
	"[foz_br]": plain("1/160", "[gal_br]"), "[drp]": plain("1/20", "ml"), "[HP]": plain("550", "[ft_i].[lbf_av]/s"),
	// temperatures
	"Cel": degrees("1", "K", "273.15"), "[degF]": degrees("5/9", "K", "459.67"), "[degR]": plain("5/9", "K"), "[degRe]": degrees("1.25", "K", "218.52"),
	// arbitrary and logarithmic units: comparable with themselves alone
	"[iU]": arbitrary("[iU]", true), "[IU]": arbitrary("[iU]", true), "[arb'U]": arbitrary("[arb'U]", false), "[USP'U]": arbitrary("[USP'U]", false),
	"[GPL'U]": arbitrary("[GPL'U]", false), "[MPL'U]": arbitrary("[MPL'U]", false), "[APL'U]": arbitrary("[APL'U]", false),
	"[CFU]": arbitrary("[CFU]", false), "[PFU]": arbitrary("[PFU]", false), "[FFU]": arbitrary("[FFU]", false), "[EU]": arbitrary("[EU]", false),
	"[BAU]": arbitrary("[BAU]", false), "[AU]": arbitrary("[AU]", false), "[Amb'a'1'U]": arbitrary("[Amb'a'1'U]", false), "[ELU]": arbitrary("[ELU]", false),
	"[TCID_50]": arbitrary("[TCID_50]", false), "[CCID_50]": arbitrary("[CCID_50]", false), "[EID_50]": arbitrary("[EID_50]", false),
	"[bdsk'U]": arbitrary("[bdsk'U]", false), "[ka'U]": arbitrary("[ka'U]", false), "[knk'U]": arbitrary("[knk'U]", false), "[mclg'U]": arbitrary("[mclg'U]", false),
	"[tb'U]": arbitrary("[tb'U]", false), "[todd'U]": arbitrary("[todd'U]", false), "[dye'U]": arbitrary("[dye'U]", false), "[smgy'U]": arbitrary("[smgy'U]", false),
	"[hnsf'U]": plain("1", "1"), "[MET]": plain("3.5", "ml/min/kg"), "[pH]": arbitrary("[pH]", false), "Np": arbitrary("Np", true), "B": arbitrary("B", true),
	"B[SPL]": arbitrary("B[SPL]", true), "B[V]": arbitrary("B[V]", true), "B[W]": arbitrary("B[W]", true), "[p'diop]": arbitrary("[p'diop]", false),
	"%[slope]": arbitrary("%[slope]", false), "[RFU]": arbitrary("[RFU]", false), "[D'ag'U]": arbitrary("[D'ag'U]", false),
	"[FEU]": arbitrary("[FEU]", false), "[Lf]": arbitrary("[Lf]", false), "[IR]": arbitrary("[IR]", false), "[BPU]": arbitrary("[BPU]", false),
	"[lne]": plain("1/12", "[in_i]"), "[pnt]": plain("1/72", "[in_i]"), "[beth'U]": arbitrary("[beth'U]", false),
	"[kp_C]": plain("1", "1"), "[hp'_X]": plain("1", "1"), "[hp'_C]": plain("1", "1"), "[m/s2/Hz^0.5]": arbitrary("[m/s2/Hz^0.5]", false),
}
