#include "services/model/resource_metadata.h"

#include <algorithm>
#include <string_view>

namespace tessera::model {
namespace {

constexpr char kAbsent = '0';
constexpr char kPresent = '1';

// Ends with a mark that sorts before any continuation, so that "a" comes before "a/b".
void AppendText(std::string_view text, std::string* out) {
  for (const char c : text) {
    *out += c;
    if (c == '\0') *out += '\xff';
  }
  *out += '\0';
  *out += '\x01';
}

void AppendText(const std::optional<std::string>& text, std::string* out) {
  *out += text ? kPresent : kAbsent;
  if (text) AppendText(std::string_view(*text), out);
}

void AppendLabels(const std::optional<Labels>& labels, std::string* out) {
  *out += labels ? kPresent : kAbsent;
  if (!labels) return;
  Labels sorted = *labels;
  std::sort(sorted.begin(), sorted.end());
  for (const Label& label : sorted) {
    *out += kPresent;
    AppendText(std::string_view(label.key), out);
    AppendText(label.value, out);
  }
  *out += kAbsent;
}

void AppendDisk(const std::optional<DiskInfo>& disk, std::string* out) {
  *out += disk ? kPresent : kAbsent;
  if (!disk) return;
  *out += disk->source ? kPresent : kAbsent;
  if (const auto& source = disk->source) {
    *out += static_cast<char>('0' + static_cast<int>(source->type));
    AppendText(source->root, out);
    AppendText(source->vendor, out);
    AppendText(source->id, out);
    AppendLabels(source->metadata, out);
    AppendText(source->profile, out);
  }
  *out += disk->persistence ? kPresent : kAbsent;
  if (disk->persistence) AppendText(std::string_view(disk->persistence->id), out);
}

}  // namespace

bool ResourceMetadata::IsPlain() const {
  return !allocation_role && reservations.empty() && (!disk || disk->IsEmpty()) && !provider_id &&
         !revocable && !shared;
}

std::string ResourceMetadata::Identity() const {
  std::string identity;
  AppendText(allocation_role, &identity);
  for (const Reservation& reservation : reservations) {
    identity += kPresent;
    AppendText(std::string_view(reservation.role), &identity);
    identity += static_cast<char>('0' + static_cast<int>(reservation.type));
    AppendText(reservation.principal, &identity);
    AppendLabels(reservation.labels, &identity);
  }
  identity += kAbsent;
  AppendDisk(disk, &identity);
  AppendText(provider_id, &identity);
  identity += revocable ? kPresent : kAbsent;
  identity += shared ? kPresent : kAbsent;
  return identity;
}

}  // namespace tessera::model
