// Package names says which spellings of a person's name may be of one name: across Arabic and Latin letters, and across the ways in which Arabic
// names are written in Latin ones (محمد, Mohamed, Muhammad; الطيب, Eltayeb, Al-Tayib).
//
// A name is cut into words ([Words]): articles and particles go, compounds come apart (Abdelrahman is abd and rahman, Seifeldin is seif and din), so that it
// does not matter how somebody joined them. Each word has
//
//   - a form ([Word.Form]): its consonants, one symbol each, with a coarse class of the vowels between them, and marks for what is written
//     in one script and not in the other. Two forms are [Alike] where each consonant and each vowel of the one may stand for that of the other: ث may be th, s
//     or t; ق may be q, g or k; ي between consonants may be i, ee or ai, and no a. So Hassan is not alike Hussein, nor Jamal Kamal.
//   - skeletons ([Word.Skeletons]): coarse consonants alone, for looking candidates up: forms that are alike share a skeleton.
//
// Alike is symmetric and not transitive: Gamal is alike Jamal and alike Qamal, which are not alike. Near forms ([Near]) differ in one
// consonant: a slip of the pen.
//
// The package is pure: no clock, no database, no network. Skeletons and forms are kept in databases: a change of the rules needs them made anew, and
// a new [Version].
package names

// Version counts the rules: forms that were made under another one are not comparable.
const Version = 1
