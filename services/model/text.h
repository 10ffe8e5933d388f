// Pieces of text in the package's parsers: trimming, strict numbers, and quoting of foreign text
// for messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::model {

// Without leading and trailing blanks (space, TAB, LF, VT, FF, CR). Points into `text`.
std::string_view TrimBlanks(std::string_view text);

// The pieces between `separator`, each trimmed; empty pieces are kept.
std::vector<std::string_view> SplitTrimmed(std::string_view text, char separator);

// Decimal digits only; nullopt for anything else or beyond 64 bits.
std::optional<uint64_t> ParseUnsigned(std::string_view text);

// 'text' with control and non-ASCII bytes as \xNN, cut to a length fit for a message.
std::string Quoted(std::string_view text);

}  // namespace tessera::model
