// Any text as one word without blanks, for files of lines and words: what is not printable, blanks
// and `%` become `%` and two hexadecimal digits. Empty text is `%`. Pure.
#pragma once

#include <string>
#include <string_view>

namespace tessera::agent {

std::string EncodeWord(std::string_view text);

// False when the word is none that EncodeWord makes.
bool DecodeWord(std::string_view word, std::string* text);

}  // namespace tessera::agent
