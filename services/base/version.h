// The version of this build: `--version` prints it and services tell it to one another. A service
// talks to neighbours one minor version older and newer.
#pragma once

namespace tessera::base {

inline constexpr char kVersion[] = "0.2.0";

}  // namespace tessera::base
