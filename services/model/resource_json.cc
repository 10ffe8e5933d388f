// The JSON form of resources, reading and writing.
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/model/parse.h"
#include "services/model/role.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

using Json = nlohmann::ordered_json;

// An operator's input is short; more objects than this are a mistake or an attack.
constexpr size_t kObjectsMax = 100'000;

// Reads fields of JSON objects and remembers the first thing that was wrong, with its path. Every
// getter answers with an empty value after a failure, so that code reads without checks between.
class Reader {
 public:
  const absl::Status& status() const { return status_; }

  void Fail(const std::string& path, std::string_view why) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(absl::StrCat(path, " ", std::string(why)));
    }
  }

  // Whether `json` is an object with no fields but `known`.
  bool IsObject(const Json& json, const std::string& path,
                std::initializer_list<std::string_view> known) {
    if (!json.is_object()) {
      Fail(path, "must be an object");
      return false;
    }
    for (const auto& [name, value] : json.items()) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        Fail(path, absl::StrCat("has the unknown field ", Quoted(name)));
        return false;
      }
    }
    return true;
  }

  // The field, or null when it is absent (or JSON null).
  static const Json* Field(const Json& json, const char* name) {
    if (!json.is_object()) return nullptr;
    const auto found = json.find(name);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  }

  std::string Text(const Json& json, const std::string& path) {
    if (const auto* text = json.get_ptr<const Json::string_t*>()) return *text;
    Fail(path, "must be a string");
    return {};
  }

  std::optional<std::string> OptionalText(const Json& json, const char* name,
                                          const std::string& path) {
    const Json* field = Field(json, name);
    if (field == nullptr) return std::nullopt;
    return Text(*field, absl::StrCat(path, ".", name));
  }

  std::string RequiredText(const Json& json, const char* name, const std::string& path) {
    std::optional<std::string> text = OptionalText(json, name, path);
    if (!text) Fail(absl::StrCat(path, ".", name), "is missing");
    return text.value_or("");
  }

  // The elements of an array field; none when it is absent.
  const Json& Array(const Json& json, const char* name, const std::string& path) {
    static const Json* const none = new Json(Json::array());
    const Json* field = Field(json, name);
    if (field == nullptr) return *none;
    if (field->is_array()) return *field;
    Fail(absl::StrCat(path, ".", name), "must be an array");
    return *none;
  }

  uint64_t Unsigned(const Json& json, const char* name, const std::string& path) {
    const Json* field = Field(json, name);
    if (field != nullptr && field->is_number_unsigned()) return field->get<uint64_t>();
    Fail(absl::StrCat(path, ".", name), "must be a whole number from 0 to 2^64-1");
    return 0;
  }

  Scalar Amount(const Json& json, const std::string& path) {
    absl::StatusOr<Scalar> amount = absl::InvalidArgumentError("must be a number");
    bool is_zero = false;
    if (json.is_number_integer()) {
      // Whole numbers are exact.
      const std::string digits = json.dump();
      amount = Scalar::Parse(digits);
      is_zero = digits == "0" || digits == "-0";
    } else if (json.is_number_float()) {
      amount = Scalar::FromDouble(json.get<double>());
      is_zero = json.get<double>() == 0;
    }
    if (!amount.ok()) {
      Fail(path, std::string(amount.status().message()));
      return Scalar();
    }
    if (amount->IsZero() && !is_zero) Fail(path, "rounds to zero; the smallest amount is 0.001");
    return *amount;
  }

  std::optional<Labels> OptionalLabels(const Json& json, const char* name,
                                       const std::string& path) {
    const Json* field = Field(json, name);
    if (field == nullptr) return std::nullopt;
    const std::string at = absl::StrCat(path, ".", name);
    Labels labels;
    if (!IsObject(*field, at, {"labels"})) return labels;
    for (const Json& entry : Array(*field, "labels", at)) {
      const std::string entry_at = absl::StrCat(at, ".labels[", labels.size(), "]");
      if (!IsObject(entry, entry_at, {"key", "value"})) break;
      labels.push_back({.key = RequiredText(entry, "key", entry_at),
                        .value = OptionalText(entry, "value", entry_at)});
    }
    return labels;
  }

 private:
  absl::Status status_;
};

Ranges ReadRanges(const Json& json, const std::string& path, Reader* reader) {
  std::vector<Interval> intervals;
  if (!reader->IsObject(json, path, {"range"})) return {};
  for (const Json& entry : reader->Array(json, "range", path)) {
    const std::string at = absl::StrCat(path, ".range[", intervals.size(), "]");
    if (!reader->IsObject(entry, at, {"begin", "end"})) return {};
    intervals.push_back(
        {.begin = reader->Unsigned(entry, "begin", at), .end = reader->Unsigned(entry, "end", at)});
  }
  absl::StatusOr<Ranges> ranges = Ranges::FromIntervals(std::move(intervals));
  if (!ranges.ok()) {
    reader->Fail(absl::StrCat(path, ":"), std::string(ranges.status().message()));
    return {};
  }
  return *std::move(ranges);
}

StringSet ReadSet(const Json& json, const std::string& path, Reader* reader) {
  std::vector<std::string> items;
  if (!reader->IsObject(json, path, {"item"})) return {};
  for (const Json& entry : reader->Array(json, "item", path)) {
    items.push_back(reader->Text(entry, absl::StrCat(path, ".item[", items.size(), "]")));
  }
  absl::StatusOr<StringSet> set = StringSet::FromItems(std::move(items));
  if (!set.ok()) {
    reader->Fail(absl::StrCat(path, ":"), std::string(set.status().message()));
    return {};
  }
  return *std::move(set);
}

// Exactly the value field that `type` says.
Resource ReadValue(const Json& json, const std::string& path, Reader* reader) {
  const std::string name = reader->RequiredText(json, "name", path);
  const std::string type = reader->RequiredText(json, "type", path);
  const char* const wanted = type == "SCALAR"   ? "scalar"
                             : type == "RANGES" ? "ranges"
                             : type == "SET"    ? "set"
                                                : nullptr;
  Resource resource = Resource::OfScalar(name, Scalar());
  if (wanted == nullptr) {
    reader->Fail(absl::StrCat(path, ".type"), "must be SCALAR, RANGES or SET");
    return resource;
  }
  for (const char* field : {"scalar", "ranges", "set"}) {
    const bool present = Reader::Field(json, field) != nullptr;
    if (present != (field == std::string_view(wanted))) {
      reader->Fail(
          absl::StrCat(path, ".", field),
          absl::StrCat(present ? "does not belong to type " : "is missing for type ", type));
      return resource;
    }
  }
  const std::string at = absl::StrCat(path, ".", wanted);
  const Json& value = *Reader::Field(json, wanted);
  if (type == "RANGES") {
    resource.set_ranges(ReadRanges(value, at, reader));
  } else if (type == "SET") {
    resource.set_set(ReadSet(value, at, reader));
  } else if (reader->IsObject(value, at, {"value"})) {
    const Json* number = Reader::Field(value, "value");
    if (number == nullptr) {
      reader->Fail(absl::StrCat(at, ".value"), "is missing");
    } else {
      resource.set_scalar(reader->Amount(*number, absl::StrCat(at, ".value")));
    }
  }
  return resource;
}

std::vector<Reservation> ReadStack(const Json& json, const std::string& path, Reader* reader) {
  std::vector<Reservation> stack;
  for (const Json& entry : reader->Array(json, "reservations", path)) {
    const std::string at = absl::StrCat(path, ".reservations[", stack.size(), "]");
    if (!reader->IsObject(entry, at, {"type", "role", "principal", "labels"})) break;
    const std::string type = reader->RequiredText(entry, "type", at);
    if (type != "STATIC" && type != "DYNAMIC") {
      reader->Fail(absl::StrCat(at, ".type"), "must be STATIC or DYNAMIC");
    }
    stack.push_back(
        {.type = type == "DYNAMIC" ? ReservationType::kDynamic : ReservationType::kStatic,
         .role = reader->RequiredText(entry, "role", at),
         .principal = reader->OptionalText(entry, "principal", at),
         .labels = reader->OptionalLabels(entry, "labels", at)});
  }
  return stack;
}

// The stack, from either form; both together must say the same.
std::vector<Reservation> ReadReservations(const Json& json, const std::string& path,
                                          Reader* reader) {
  std::vector<Reservation> stack = ReadStack(json, path, reader);
  const std::optional<std::string> role = reader->OptionalText(json, "role", path);
  const Json* old = Reader::Field(json, "reservation");
  if (!role && old == nullptr) return stack;

  std::vector<Reservation> old_stack;
  if (role && *role != kAnyRole) old_stack.push_back({.role = *role});
  if (old != nullptr) {
    const std::string at = absl::StrCat(path, ".reservation");
    if (Reader::Field(*old, "type") != nullptr || Reader::Field(*old, "role") != nullptr) {
      reader->Fail(at, "must not say its type or role; use reservations for that");
    } else if (reader->IsObject(*old, at, {"principal", "labels"})) {
      if (old_stack.empty()) {
        reader->Fail(at, "needs a role other than '*'");
        return stack;
      }
      old_stack[0].type = ReservationType::kDynamic;
      old_stack[0].principal = reader->OptionalText(*old, "principal", at);
      old_stack[0].labels = reader->OptionalLabels(*old, "labels", at);
    }
  }
  if (stack.empty()) return old_stack;
  if (stack != old_stack) {
    reader->Fail(absl::StrCat(path, ".reservations"), "disagrees with role and reservation");
  }
  return stack;
}

DiskSource ReadDiskSource(const Json& json, const std::string& path, Reader* reader) {
  DiskSource source;
  if (!reader->IsObject(json, path,
                        {"type", "path", "mount", "vendor", "id", "metadata", "profile"})) {
    return source;
  }
  const std::string type = reader->RequiredText(json, "type", path);
  const char* root_field = nullptr;
  if (type == "PATH") {
    root_field = "path";
  } else if (type == "MOUNT") {
    source.type = DiskSourceType::kMount;
    root_field = "mount";
  } else if (type == "BLOCK") {
    source.type = DiskSourceType::kBlock;
  } else if (type == "RAW") {
    source.type = DiskSourceType::kRaw;
  } else {
    reader->Fail(absl::StrCat(path, ".type"), "must be PATH, MOUNT, BLOCK or RAW");
  }
  for (const char* field : {"path", "mount"}) {
    const Json* holder = Reader::Field(json, field);
    if (holder == nullptr) continue;
    const std::string at = absl::StrCat(path, ".", field);
    if (root_field == nullptr || root_field != std::string_view(field)) {
      reader->Fail(at, absl::StrCat("does not belong to type ", type));
    } else if (reader->IsObject(*holder, at, {"root"})) {
      source.root = reader->OptionalText(*holder, "root", at);
    }
  }
  source.vendor = reader->OptionalText(json, "vendor", path);
  source.id = reader->OptionalText(json, "id", path);
  source.metadata = reader->OptionalLabels(json, "metadata", path);
  source.profile = reader->OptionalText(json, "profile", path);
  return source;
}

DiskInfo ReadDisk(const Json& json, const std::string& path, Reader* reader) {
  DiskInfo disk;
  if (!reader->IsObject(json, path, {"source", "persistence", "volume"})) return disk;
  if (const Json* source = Reader::Field(json, "source")) {
    disk.source = ReadDiskSource(*source, absl::StrCat(path, ".source"), reader);
  }
  if (const Json* persistence = Reader::Field(json, "persistence")) {
    const std::string at = absl::StrCat(path, ".persistence");
    if (reader->IsObject(*persistence, at, {"id", "principal"})) {
      disk.persistence = {.id = reader->RequiredText(*persistence, "id", at),
                          .principal = reader->OptionalText(*persistence, "principal", at)};
    }
  }
  if (const Json* volume = Reader::Field(json, "volume")) {
    const std::string at = absl::StrCat(path, ".volume");
    if (reader->IsObject(*volume, at, {"container_path", "mode"})) {
      const std::string mode = reader->OptionalText(*volume, "mode", at).value_or("RW");
      if (mode != "RW" && mode != "RO") {
        reader->Fail(absl::StrCat(at, ".mode"), "must be RW or RO");
      }
      disk.volume = {.container_path = reader->RequiredText(*volume, "container_path", at),
                     .read_only = mode == "RO"};
    }
  }
  return disk;
}

Resource ReadResource(const Json& json, const std::string& path, Reader* reader) {
  if (!reader->IsObject(
          json, path,
          {"name", "type", "scalar", "ranges", "set", "role", "reservation", "reservations",
           "allocation_info", "disk", "revocable", "shared", "shared_count", "provider_id"})) {
    return Resource::OfScalar("", Scalar());
  }
  Resource resource = ReadValue(json, path, reader);
  ResourceMetadata metadata;
  metadata.reservations = ReadReservations(json, path, reader);
  if (const Json* allocation = Reader::Field(json, "allocation_info")) {
    const std::string at = absl::StrCat(path, ".allocation_info");
    if (reader->IsObject(*allocation, at, {"role"})) {
      metadata.allocation_role = reader->RequiredText(*allocation, "role", at);
    }
  }
  if (const Json* disk = Reader::Field(json, "disk")) {
    metadata.disk = ReadDisk(*disk, absl::StrCat(path, ".disk"), reader);
  }
  if (const Json* provider = Reader::Field(json, "provider_id")) {
    const std::string at = absl::StrCat(path, ".provider_id");
    if (reader->IsObject(*provider, at, {"value"})) {
      metadata.provider_id = reader->RequiredText(*provider, "value", at);
    }
  }
  if (const Json* revocable = Reader::Field(json, "revocable")) {
    metadata.revocable = reader->IsObject(*revocable, absl::StrCat(path, ".revocable"), {});
  }
  if (const Json* shared = Reader::Field(json, "shared")) {
    metadata.shared = reader->IsObject(*shared, absl::StrCat(path, ".shared"), {});
  }
  resource.set_metadata(std::move(metadata));
  if (Reader::Field(json, "shared_count") != nullptr) {
    const uint64_t copies = reader->Unsigned(json, "shared_count", path);
    if (copies > UINT32_MAX) reader->Fail(absl::StrCat(path, ".shared_count"), "is too large");
    resource.set_copies(static_cast<int64_t>(copies & UINT32_MAX));
  }
  return resource;
}

Json WriteLabels(const Labels& labels) {
  Json entries = Json::array();
  for (const Label& label : labels) {
    Json entry{{"key", label.key}};
    if (label.value) entry["value"] = *label.value;
    entries.push_back(std::move(entry));
  }
  return Json{{"labels", std::move(entries)}};
}

void WriteOwner(const Reservation& reservation, Json* out) {
  if (reservation.principal) (*out)["principal"] = *reservation.principal;
  if (reservation.labels) (*out)["labels"] = WriteLabels(*reservation.labels);
}

Json WriteDisk(const DiskInfo& disk) {
  Json out = Json::object();
  if (const auto& source = disk.source) {
    Json entry = Json::object();
    switch (source->type) {
      case DiskSourceType::kPath:
        entry["type"] = "PATH";
        if (source->root) entry["path"] = Json{{"root", *source->root}};
        break;
      case DiskSourceType::kMount:
        entry["type"] = "MOUNT";
        if (source->root) entry["mount"] = Json{{"root", *source->root}};
        break;
      case DiskSourceType::kBlock:
        entry["type"] = "BLOCK";
        break;
      case DiskSourceType::kRaw:
        entry["type"] = "RAW";
        break;
    }
    if (source->vendor) entry["vendor"] = *source->vendor;
    if (source->id) entry["id"] = *source->id;
    if (source->metadata) entry["metadata"] = WriteLabels(*source->metadata);
    if (source->profile) entry["profile"] = *source->profile;
    out["source"] = std::move(entry);
  }
  if (disk.persistence) {
    Json entry{{"id", disk.persistence->id}};
    if (disk.persistence->principal) entry["principal"] = *disk.persistence->principal;
    out["persistence"] = std::move(entry);
  }
  if (disk.volume) {
    out["volume"] = Json{{"container_path", disk.volume->container_path},
                         {"mode", disk.volume->read_only ? "RO" : "RW"}};
  }
  return out;
}

void WriteValue(const Resource& resource, Json* out) {
  switch (resource.kind()) {
    case ResourceKind::kScalar:
      (*out)["type"] = "SCALAR";
      (*out)["scalar"] = Json{{"value", resource.scalar().ToDouble()}};
      return;
    case ResourceKind::kRanges: {
      Json entries = Json::array();
      for (const Interval& interval : resource.ranges().intervals()) {
        entries.push_back(Json{{"begin", interval.begin}, {"end", interval.end}});
      }
      (*out)["type"] = "RANGES";
      (*out)["ranges"] = Json{{"range", std::move(entries)}};
      return;
    }
    case ResourceKind::kSet:
      (*out)["type"] = "SET";
      (*out)["set"] = Json{{"item", resource.set().items()}};
      return;
  }
}

Json WriteResource(const Resource& resource, ResourceJsonForm form) {
  const ResourceMetadata& metadata = resource.metadata();
  Json out{{"name", resource.name()}};
  WriteValue(resource, &out);
  if (form == ResourceJsonForm::kEndpoint && metadata.reservations.size() <= 1) {
    out["role"] = resource.ReservationRole();
    if (resource.IsDynamicallyReserved()) {
      Json owner = Json::object();
      WriteOwner(metadata.reservations.front(), &owner);
      out["reservation"] = std::move(owner);
    }
  }
  if (metadata.allocation_role) {
    out["allocation_info"] = Json{{"role", *metadata.allocation_role}};
  }
  if (!metadata.reservations.empty()) {
    Json stack = Json::array();
    for (const Reservation& reservation : metadata.reservations) {
      Json level{{"type", reservation.type == ReservationType::kDynamic ? "DYNAMIC" : "STATIC"},
                 {"role", reservation.role}};
      WriteOwner(reservation, &level);
      stack.push_back(std::move(level));
    }
    out["reservations"] = std::move(stack);
  }
  if (metadata.disk) out["disk"] = WriteDisk(*metadata.disk);
  if (metadata.revocable) out["revocable"] = Json::object();
  if (metadata.shared) out["shared"] = Json::object();
  if (resource.copies() > 1) out["shared_count"] = resource.copies();
  if (metadata.provider_id) out["provider_id"] = Json{{"value", *metadata.provider_id}};
  return out;
}

}  // namespace

absl::StatusOr<std::vector<Resource>> ParseResourcesJson(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) {
    return absl::InvalidArgumentError("resources are not well-formed JSON");
  }
  if (!parsed.is_array()) {
    return absl::InvalidArgumentError("resources must be a JSON array of objects");
  }
  if (parsed.size() > kObjectsMax) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kObjectsMax, " resource objects"));
  }
  Reader reader;
  std::vector<Resource> objects;
  for (const Json& entry : parsed) {
    const std::string path = absl::StrCat("resources[", objects.size(), "]");
    Resource resource = ReadResource(entry, path, &reader);
    if (!reader.status().ok()) return reader.status();
    if (absl::Status status = Validate(resource); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
    }
    objects.push_back(std::move(resource));
  }
  return objects;
}

std::string ToJson(const Resources& resources, ResourceJsonForm form) {
  Json array = Json::array();
  for (const Resource& object : resources) array.push_back(WriteResource(object, form));
  return array.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tessera::model
