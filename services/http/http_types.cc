#include "services/http/http_types.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace tessera::http {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view First(const std::multimap<std::string, std::string>& values,
                       const std::string& name, std::string_view fallback) {
  const auto it = values.find(name);
  return it == values.end() ? fallback : std::string_view(it->second);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes what comes before `separator` off the front of `rest`.
std::string_view TakeUntil(char separator, std::string_view* rest) {
  const size_t at = rest->find(separator);
  const std::string_view taken = rest->substr(0, at);
  *rest = at == std::string_view::npos ? std::string_view() : rest->substr(at + 1);
  return taken;
}

// A weight of RFC 9110, e.g. "q=0.5"; 1 when there is none.
double Quality(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = Trim(TakeUntil(';', &parameters));
    if (parameter.size() > 2 && (parameter[0] == 'q' || parameter[0] == 'Q') &&
        parameter[1] == '=') {
      return std::strtod(std::string(parameter.substr(2)).c_str(), nullptr);
    }
  }
  return 1.0;
}

}  // namespace

std::string_view RequestHead::Param(const std::string& name, std::string_view fallback) const {
  return First(query, name, fallback);
}

std::string_view RequestHead::Header(const std::string& name, std::string_view fallback) const {
  return First(headers, name, fallback);
}

HttpResponse HttpResponse::Text(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.body.push_back(MakeChunk(std::move(text)));
  return response;
}

HttpResponse HttpResponse::Json(std::string json) {
  HttpResponse response;
  response.content_type = "application/json";
  response.body.push_back(MakeChunk(std::move(json)));
  return response;
}

bool DecodeUrl(std::string_view encoded, bool plus_is_space, std::string* decoded) {
  decoded->clear();
  decoded->reserve(encoded.size());
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '+' && plus_is_space) {
      decoded->push_back(' ');
    } else if (encoded[i] == '%') {
      if (i + 2 >= encoded.size()) return false;
      const int high = HexDigit(encoded[i + 1]), low = HexDigit(encoded[i + 2]);
      if (high < 0 || low < 0) return false;
      decoded->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      decoded->push_back(encoded[i]);
    }
  }
  return true;
}

bool ParseTarget(std::string_view target, std::string* path,
                 std::multimap<std::string, std::string>* query) {
  query->clear();
  target = target.substr(0, target.find('#'));
  std::string_view parameters = target;
  const std::string_view encoded_path = TakeUntil('?', &parameters);
  if (!DecodeUrl(encoded_path, /*plus_is_space=*/false, path)) return false;
  if (path->empty() || path->front() != '/' || path->find('\0') != std::string::npos) return false;
  while (!parameters.empty()) {
    std::string_view value = TakeUntil('&', &parameters);
    const std::string_view name = TakeUntil('=', &value);
    if (name.empty()) continue;
    std::string decoded_name, decoded_value;
    if (!DecodeUrl(name, true, &decoded_name) || !DecodeUrl(value, true, &decoded_value)) {
      return false;
    }
    query->emplace(std::move(decoded_name), std::move(decoded_value));
  }
  return true;
}

bool AcceptsGzip(std::string_view accept_encoding) {
  double star = -1;
  while (!accept_encoding.empty()) {
    std::string_view parameters = TakeUntil(',', &accept_encoding);
    std::string coding(Trim(TakeUntil(';', &parameters)));
    std::transform(coding.begin(), coding.end(), coding.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    const double quality = Quality(parameters);
    if (coding == "gzip" || coding == "x-gzip") return quality > 0;
    if (coding == "*") star = quality;
  }
  return star > 0;
}

}  // namespace tessera::http
