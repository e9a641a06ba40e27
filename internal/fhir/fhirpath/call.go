package fhirpath

import "github.com/nilecare/nilecare/internal/fault"

// function is one entry of the table of functions: how many arguments, and one of the ways to do it.
type function struct {
	min, max int
	impl     func(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error)
	test     func(m *machine, f frame, in Collection, args []op) (tri, error)
	build    func(n *ast, args []op) (op, error)
}

type call struct {
	impl func(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error)
	args []op
}

func (o *call) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	if err := m.step(1); err != nil {
		return dst, err
	}
	return o.impl(m, f, in, o.args, dst)
}

type testCall struct {
	impl func(m *machine, f frame, in Collection, args []op) (tri, error)
	args []op
}

func (o *testCall) test(m *machine, f frame, in Collection) (tri, error) {
	if err := m.step(1); err != nil {
		return unknown, err
	}
	return o.impl(m, f, in, o.args)
}

func (o *testCall) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	return t.append(dst), err
}

// functions is the table of all functions but is, as, ofType and sort, which the compiler knows. It is never changed.
var functions = map[string]function{
	// existence
	"empty":      {0, 0, nil, fnEmpty, nil},
	"exists":     {0, 1, nil, fnExists, nil},
	"all":        {1, 1, nil, fnAll, nil},
	"allTrue":    {0, 0, nil, booleans(true, true), nil},
	"anyTrue":    {0, 0, nil, booleans(false, true), nil},
	"allFalse":   {0, 0, nil, booleans(true, false), nil},
	"anyFalse":   {0, 0, nil, booleans(false, false), nil},
	"subsetOf":   {1, 1, nil, fnSubsetOf, nil},
	"supersetOf": {1, 1, nil, fnSupersetOf, nil},
	"count":      {0, 0, fnCount, nil, nil},
	"distinct":   {0, 0, fnDistinct, nil, nil},
	"isDistinct": {0, 0, nil, fnIsDistinct, nil},
	"not":        {0, 0, nil, fnNot, nil},
	"hasValue":   {0, 0, nil, fnHasValue, nil},
	"getValue":   {0, 0, fnGetValue, nil, nil},
	// filtering, projection, subsets, combining
	"where":             {1, 1, fnWhere, nil, nil},
	"select":            {1, 1, fnSelect, nil, nil},
	"repeat":            {1, 1, fnRepeat, nil, nil},
	"extension":         {1, 1, fnExtension, nil, nil},
	"hasExtension":      {1, 1, nil, fnHasExtension, nil},
	"single":            {0, 0, fnSingle, nil, nil},
	"first":             {0, 0, fnFirst, nil, nil},
	"last":              {0, 0, fnLast, nil, nil},
	"tail":              {0, 0, fnTail, nil, nil},
	"skip":              {1, 1, fnSkip, nil, nil},
	"take":              {1, 1, fnTake, nil, nil},
	"intersect":         {1, 1, fnIntersect, nil, nil},
	"exclude":           {1, 1, fnExclude, nil, nil},
	"union":             {1, 1, fnUnion, nil, nil},
	"combine":           {1, 1, fnCombine, nil, nil},
	"children":          {0, 0, fnChildren, nil, nil},
	"descendants":       {0, 0, fnDescendants, nil, nil},
	"aggregate":         {1, 2, fnAggregate, nil, nil},
	"iif":               {2, 3, fnIif, nil, nil},
	"trace":             {1, 2, fnTrace, nil, nil},
	"type":              {0, 0, fnType, nil, nil},
	"now":               {0, 0, fnNow, nil, nil},
	"today":             {0, 0, fnToday, nil, nil},
	"timeOfDay":         {0, 0, fnTimeOfDay, nil, nil},
	"resolve":           {0, 0, nil, nil, func(*ast, []op) (op, error) { return resolveOp{}, nil }},
	"conformsTo":        {1, 1, nil, fnConformsTo, nil},
	"htmlChecks":        {0, 0, nil, fnHTMLChecks, nil},
	"memberOf":          {1, 1, unsupported("memberOf"), nil, nil},
	"subsumes":          {1, 1, unsupported("subsumes"), nil, nil},
	"subsumedBy":        {1, 1, unsupported("subsumedBy"), nil, nil},
	"elementDefinition": {0, 0, unsupported("elementDefinition"), nil, nil},
	"slice":             {2, 2, unsupported("slice"), nil, nil},
	"checkModifiers":    {0, 8, unsupported("checkModifiers"), nil, nil},
	// conversion
	"toBoolean":          {0, 0, converter(toBoolean), nil, nil},
	"toInteger":          {0, 0, converter(toInteger), nil, nil},
	"toDecimal":          {0, 0, converter(toDecimal), nil, nil},
	"toString":           {0, 0, converter(toString), nil, nil},
	"toDate":             {0, 0, converter(toDate), nil, nil},
	"toDateTime":         {0, 0, converter(toDateTime), nil, nil},
	"toTime":             {0, 0, converter(toTime), nil, nil},
	"toQuantity":         {0, 1, fnToQuantity, nil, nil},
	"convertsToBoolean":  {0, 0, nil, convertible(toBoolean), nil},
	"convertsToInteger":  {0, 0, nil, convertible(toInteger), nil},
	"convertsToDecimal":  {0, 0, nil, convertible(toDecimal), nil},
	"convertsToString":   {0, 0, nil, convertible(toString), nil},
	"convertsToDate":     {0, 0, nil, convertible(toDate), nil},
	"convertsToDateTime": {0, 0, nil, convertible(toDateTime), nil},
	"convertsToTime":     {0, 0, nil, convertible(toTime), nil},
	"convertsToQuantity": {0, 1, nil, fnConvertsToQuantity, nil},
	// strings
	"indexOf":        {1, 1, fnIndexOf, nil, nil},
	"lastIndexOf":    {1, 1, fnLastIndexOf, nil, nil},
	"substring":      {1, 2, fnSubstring, nil, nil},
	"startsWith":     {1, 1, nil, stringTest("startsWith", hasPrefix), nil},
	"endsWith":       {1, 1, nil, stringTest("endsWith", hasSuffix), nil},
	"contains":       {1, 1, nil, stringTest("contains", hasPart), nil},
	"matches":        {1, 2, nil, nil, buildMatches},
	"matchesFull":    {1, 2, nil, nil, buildMatches},
	"replaceMatches": {2, 3, nil, nil, buildReplaceMatches},
	"replace":        {2, 2, fnReplace, nil, nil},
	"upper":          {0, 0, stringFunc("upper", upper), nil, nil},
	"lower":          {0, 0, stringFunc("lower", lower), nil, nil},
	"trim":           {0, 0, stringFunc("trim", trim), nil, nil},
	"length":         {0, 0, fnLength, nil, nil},
	"toChars":        {0, 0, fnToChars, nil, nil},
	"encode":         {1, 1, coder("encode", encode), nil, nil},
	"decode":         {1, 1, coder("decode", decode), nil, nil},
	"escape":         {1, 1, coder("escape", escape), nil, nil},
	"unescape":       {1, 1, coder("unescape", unescape), nil, nil},
	"split":          {1, 1, fnSplit, nil, nil},
	"join":           {0, 1, fnJoin, nil, nil},
	// numbers and times
	"abs":           {0, 0, fnAbs, nil, nil},
	"ceiling":       {0, 0, whole("ceiling", up), nil, nil},
	"floor":         {0, 0, whole("floor", down), nil, nil},
	"truncate":      {0, 0, whole("truncate", towardZero), nil, nil},
	"round":         {0, 1, fnRound, nil, nil},
	"sqrt":          {0, 0, fnSqrt, nil, nil},
	"exp":           {0, 0, fnExp, nil, nil},
	"ln":            {0, 0, fnLn, nil, nil},
	"log":           {1, 1, fnLog, nil, nil},
	"power":         {1, 1, fnPower, nil, nil},
	"precision":     {0, 0, fnPrecision, nil, nil},
	"lowBoundary":   {0, 1, boundary("lowBoundary", false), nil, nil},
	"highBoundary":  {0, 1, boundary("highBoundary", true), nil, nil},
	"comparable":    {1, 1, nil, fnComparable, nil},
	"yearOf":        {0, 0, component("yearOf", YearPrecision), nil, nil},
	"monthOf":       {0, 0, component("monthOf", MonthPrecision), nil, nil},
	"dayOf":         {0, 0, component("dayOf", DayPrecision), nil, nil},
	"hourOf":        {0, 0, component("hourOf", HourPrecision), nil, nil},
	"minuteOf":      {0, 0, component("minuteOf", MinutePrecision), nil, nil},
	"secondOf":      {0, 0, component("secondOf", SecondPrecision), nil, nil},
	"millisecondOf": {0, 0, component("millisecondOf", MillisecondPrecision), nil, nil},
}

// unsupported serves functions that need what this engine does not have.
func unsupported(name string) func(*machine, frame, Collection, []op, Collection) (Collection, error) {
	return func(_ *machine, _ frame, _ Collection, _ []op, dst Collection) (Collection, error) {
		return dst, fault.New(fault.Unprocessable, "FHIRPath: %s() is not supported", name).WithCode("not-supported")
	}
}
