// Everything a resource object carries besides its name and value: who it is allocated and
// reserved to, which disk it lies on, whether it is revocable, shared or of a provider.
//
// Metadata decides identity: two resources can be added or subtracted only when their metadata
// are the same. Identity leaves out two things that merely describe a use: the volume (container
// path and mode) and the principal that created a persistent volume.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera::model {

struct Label {
  std::string key;
  std::optional<std::string> value;
  friend bool operator==(const Label&, const Label&) = default;
  friend auto operator<=>(const Label&, const Label&) = default;
};
// A bag: identity does not depend on the order of labels.
using Labels = std::vector<Label>;

enum class ReservationType { kStatic, kDynamic };

// One level of the reservation stack.
struct Reservation {
  ReservationType type = ReservationType::kStatic;
  std::string role;
  std::optional<std::string> principal;
  std::optional<Labels> labels;
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

enum class DiskSourceType { kPath, kMount, kBlock, kRaw };

struct DiskSource {
  DiskSourceType type = DiskSourceType::kPath;
  std::optional<std::string> root;  // directory; only for kPath and kMount
  std::optional<std::string> vendor;
  std::optional<std::string> id;
  std::optional<Labels> metadata;
  std::optional<std::string> profile;
  friend bool operator==(const DiskSource&, const DiskSource&) = default;
};

struct Persistence {
  std::string id;
  std::optional<std::string> principal;  // not part of identity
  friend bool operator==(const Persistence&, const Persistence&) = default;
};

// Where a volume appears in its container; not part of identity.
struct Volume {
  std::string container_path;
  bool read_only = false;
  friend bool operator==(const Volume&, const Volume&) = default;
};

struct DiskInfo {
  std::optional<DiskSource> source;
  std::optional<Persistence> persistence;
  std::optional<Volume> volume;
  bool IsEmpty() const { return !source && !persistence && !volume; }
  friend bool operator==(const DiskInfo&, const DiskInfo&) = default;
};

struct ResourceMetadata {
  std::optional<std::string> allocation_role;
  std::vector<Reservation> reservations;  // outermost role first; the last one holds it
  std::optional<DiskInfo> disk;           // a DiskInfo without any field counts as absent
  std::optional<std::string> provider_id;
  bool revocable = false;
  bool shared = false;

  // No field is set: a plain, unreserved, unallocated resource.
  bool IsPlain() const;
  // An unambiguous byte string, equal for two metadata exactly when their identities are. Its
  // byte order is the order of objects in a collection: unallocated and unreserved come first.
  std::string Identity() const;

  // Compares every field, also those outside identity.
  friend bool operator==(const ResourceMetadata&, const ResourceMetadata&) = default;
};

}  // namespace tessera::model
