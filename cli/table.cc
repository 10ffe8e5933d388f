#include "cli/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace tessera::cli {

void Table::Add(std::vector<std::string> row) {
  row.resize(rows_.front().size());
  for (std::string& cell : row) {
    for (char& c : cell) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
  }
  rows_.push_back(std::move(row));
}

std::string Table::Format() const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string FormatMilli(int64_t milli) {
  char text[32];
  std::snprintf(text, sizeof(text), "%s%lld.%03lld", milli < 0 ? "-" : "",
                static_cast<long long>(std::llabs(milli) / 1000),
                static_cast<long long>(std::llabs(milli) % 1000));
  std::string out = text;
  while (out.back() == '0') out.pop_back();
  if (out.back() == '.') out.pop_back();
  return out;
}

std::string FormatAge(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  char text[48];
  if (seconds < 10) {
    std::snprintf(text, sizeof(text), "%.1fs", seconds);
    return text;
  }
  const auto whole = static_cast<long long>(seconds);
  const long long days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) {
    std::snprintf(text, sizeof(text), "%lldd %lldh", days, hours);
  } else if (hours > 0) {
    std::snprintf(text, sizeof(text), "%lldh %lldm", hours, minutes);
  } else if (minutes > 0) {
    std::snprintf(text, sizeof(text), "%lldm %llds", minutes, whole % 60);
  } else {
    std::snprintf(text, sizeof(text), "%llds", whole);
  }
  return text;
}

}  // namespace tessera::cli
