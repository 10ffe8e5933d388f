// What a core has to say to the people who look after a cluster.
//
// A core does not log: writing a line takes time, bears the wall clock's stamp and goes where a
// process-wide switch says. It says a Note instead, as an effect; its shell logs it (log_setup.h).
// What happens as often as traffic comes is counted, not noted.
//
// Threads: a plain value.
#pragma once

#include <string>

namespace tessera::base {

enum class Severity {
  // For those who look for a fault: logged when more than the usual is asked for.
  kDetail,
  kInfo,
  kWarning,
  kError,
};

struct Note {
  Severity severity = Severity::kInfo;
  std::string text;
};

}  // namespace tessera::base
