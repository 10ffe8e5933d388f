// Incarnations from and to protos/tessera/model/v1/incarnation.proto.
#pragma once

#include "protos/tessera/model/v1/incarnation.pb.h"
#include "services/model/incarnation.h"

namespace tessera::model::wire {

// What is not set becomes one that is not valid(); the caller decides whether it may be.
inline Incarnation FromProto(const v1::Incarnation& incarnation) {
  return {incarnation.epoch(), incarnation.number()};
}

inline v1::Incarnation ToProto(const Incarnation& incarnation) {
  v1::Incarnation proto;
  proto.set_epoch(incarnation.epoch);
  proto.set_number(incarnation.number);
  return proto;
}

}  // namespace tessera::model::wire
