#include "services/auth/testing/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <functional>

namespace tessera::auth {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

// Tests cannot go on without: there is nothing to handle.
void Must(bool done) {
  if (!done) std::abort();
}

Key MakeKey() {
  Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  Must(key != nullptr);
  return key;
}

std::string Pem(const std::function<int(BIO*)>& write) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  Must(bio != nullptr && write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()), X509_EXTENSION_free);
  Must(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

Certificate Sign(const std::string& name, long serial, EVP_PKEY* subject, X509* issuer,
                 EVP_PKEY* issuer_key) {
  Certificate made(X509_new(), X509_free);
  Must(made != nullptr);
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), subject);
  Must(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(name.data()),
                                  static_cast<int>(name.size()), -1, 0) == 1);
  X509* signer = issuer == nullptr ? made.get() : issuer;
  X509_set_issuer_name(made.get(), X509_get_subject_name(signer));
  if (issuer == nullptr) {
    AddExtension(made.get(), NID_basic_constraints, "critical,CA:TRUE");
  } else {
    AddExtension(made.get(), NID_subject_alt_name, "DNS:" + name);
  }
  Must(X509_sign(made.get(), issuer_key, EVP_sha256()) > 0);
  return made;
}

std::string PemOf(X509* certificate) {
  return Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

}  // namespace

struct TestAuthority::Rep {
  Key key = MakeKey();
  Certificate certificate = Sign("test authority", 1, key.get(), nullptr, key.get());
  std::string pem = PemOf(certificate.get());
  long last_serial = 1;
};

TestAuthority::TestAuthority() : rep_(std::make_unique<Rep>()) {}
TestAuthority::~TestAuthority() = default;

const std::string& TestAuthority::certificate() const { return rep_->pem; }

PemPair TestAuthority::Issue(const std::string& name) {
  const Key key = MakeKey();
  const Certificate made =
      Sign(name, ++rep_->last_serial, key.get(), rep_->certificate.get(), rep_->key.get());
  return {.certificate = PemOf(made.get()),
          .private_key = Pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace tessera::auth
