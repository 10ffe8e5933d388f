#include "services/agent/isolators/word_code.h"

namespace tessera::agent {
namespace {

bool Plain(unsigned char c) { return c > ' ' && c != '%' && c < 0x7f; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string EncodeWord(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  if (text.empty()) return "%";
  std::string word;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (Plain(byte)) {
      word += c;
    } else {
      word += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return word;
}

bool DecodeWord(std::string_view word, std::string* text) {
  text->clear();
  if (word == "%") return true;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '%') {
      if (!Plain(static_cast<unsigned char>(word[i]))) return false;
      *text += word[i];
      continue;
    }
    if (word.size() - i < 3) return false;
    const int high = HexDigit(word[i + 1]);
    const int low = HexDigit(word[i + 2]);
    if (high < 0 || low < 0) return false;
    *text += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return !word.empty();
}

}  // namespace tessera::agent
