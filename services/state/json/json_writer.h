// What all writers of this folder use: RapidJSON into a buffer, and a few values in the page's
// form.
//
// Doubles always have a decimal point, times are seconds since 1970 as doubles, 64-bit integers are
// numbers. Strings are UTF-8, as proto3 promises.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cmath>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace tessera::state {

using JsonWriter = rapidjson::Writer<rapidjson::StringBuffer>;

inline void WriteString(std::string_view text, JsonWriter* json) {
  json->String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

inline void WriteKey(std::string_view key, JsonWriter* json) {
  json->Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
}

// What is no number in JSON is written as 0.0.
inline void WriteDouble(double value, JsonWriter* json) {
  json->Double(std::isfinite(value) ? value : 0.0);
}

inline void Field(std::string_view key, std::string_view text, JsonWriter* json) {
  WriteKey(key, json);
  WriteString(text, json);
}
inline void Field(std::string_view key, const char* text, JsonWriter* json) {
  Field(key, std::string_view(text), json);
}
inline void Field(std::string_view key, const std::string& text, JsonWriter* json) {
  Field(key, std::string_view(text), json);
}
inline void Field(std::string_view key, double value, JsonWriter* json) {
  WriteKey(key, json);
  WriteDouble(value, json);
}
inline void Field(std::string_view key, bool value, JsonWriter* json) {
  WriteKey(key, json);
  json->Bool(value);
}
inline void IntegerField(std::string_view key, uint64_t value, JsonWriter* json) {
  WriteKey(key, json);
  json->Uint64(value);
}

// What `write(JsonWriter*)` writes.
template <typename Write>
std::string Rendered(Write write) {
  rapidjson::StringBuffer buffer;
  JsonWriter json(buffer);
  write(&json);
  return std::string(buffer.GetString(), buffer.GetSize());
}

inline double Seconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() / 1e9;
}
// 0 for a time that has not come.
inline double Seconds(absl::Time time) {
  if (time == absl::InfinitePast()) return 0;
  const int64_t seconds = absl::ToUnixSeconds(time);
  const int64_t nanos = absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds));
  return static_cast<double>(seconds) + static_cast<double>(nanos) / 1e9;
}
inline double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + duration.nanos() / 1e9;
}

}  // namespace tessera::state
