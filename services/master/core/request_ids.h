// Numbers for requests and links of one process: a late answer to an older reign matches nothing.
#pragma once

#include <cstdint>

#include "services/master/core/master_events.h"

namespace tessera::master {

class RequestIds {
 public:
  RequestId Next() { return RequestId(++last_); }
  LinkId NextLink() { return LinkId(++last_); }

 private:
  uint64_t last_ = 0;
};

}  // namespace tessera::master
