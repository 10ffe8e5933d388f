// Tables for people: a header line and aligned columns.
//
// Threads: values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tessera::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}

  // Missing cells are empty; those beyond the header are dropped. Control characters, which names
  // from the cluster may hold, are shown as `?` so that they cannot steer a terminal.
  void Add(std::vector<std::string> row);

  size_t size() const { return rows_.size() - 1; }

  // Lines ended by '\n', two spaces between columns.
  std::string Format() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// 1.5 for 1500: a fixed-point quantity without needless digits.
std::string FormatMilli(int64_t milli);

// "3d 4h", "5m 12s", "0.4s": the two largest units of a time span in seconds.
std::string FormatAge(double seconds);

}  // namespace tessera::cli
