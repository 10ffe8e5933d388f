// Single fields of serialised messages, without parsing the rest.
#pragma once

#include <optional>
#include <string_view>

namespace tessera::model::wire {

// The bytes of the last top-level field `number` (a string, bytes or message); the last one counts,
// as in any parser. Nothing when the bytes are no message; empty when they have no such field.
// Valid as long as `message` is.
std::optional<std::string_view> LastBytesField(std::string_view message, int number);

}  // namespace tessera::model::wire
