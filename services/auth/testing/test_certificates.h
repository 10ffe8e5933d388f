// Certificates for tests, made on the spot: an authority, and certificates that it signed.
#pragma once

#include <memory>
#include <string>

namespace tessera::auth {

struct PemPair {
  std::string certificate;
  std::string private_key;
};

class TestAuthority {
 public:
  // A new key and a self-signed certificate, valid for an hour.
  TestAuthority();
  ~TestAuthority();

  const std::string& certificate() const;
  // A certificate of `name` (its common name and DNS name) that this authority signed.
  PemPair Issue(const std::string& name);

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::auth
