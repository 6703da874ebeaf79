#!/usr/bin/env lua5.4
-- SPDX-License-Identifier: MIT
-- The `eddy` command of the rock. The program built by make needs liblua to link with, which a rock
-- cannot count on; this runs the same module in whatever Lua luarocks belongs to.
os.exit(require "eddy.cli".main(arg), true)
