// Command nilecare is a healthcare platform in one program: `nilecare help` says what it can do.
package main

import (
	"os"

	"github.com/nilecare/nilecare/internal/app"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(app.Main(os.Args[1:], version))
}
