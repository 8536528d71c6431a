//! Every form that the reference leaves open: of what comes, and of what is sent.

use renewd::ca::pam360::{Dialect, Encoding, InputData};
use simulators::pam360::{
    CertificateBody, CsrBody, DetailsForm, ImportId, Months, NameForm, RowKeys, SerialForm,
    Variants,
};

use super::fixture::Fixture;

async fn assert_issues(variants: Variants) {
    let fixture = Fixture::start(variants).await;
    let leaf = fixture.obtain().await.leaf;
    assert_eq!(leaf.public_key, fixture.request.csr.public_key);
    fixture.assert_ordered_once(&format!("{:?}", fixture.server.variants()));
}

#[tokio::test]
async fn a_certificate_is_read_in_every_form() {
    for certificate_body in [
        CertificateBody::Documented,
        CertificateBody::Pem,
        CertificateBody::Der,
        CertificateBody::JsonPem,
        CertificateBody::JsonBase64,
        CertificateBody::Pkcs7,
        CertificateBody::Pkcs7Pem,
    ] {
        assert_issues(Variants {
            certificate_body,
            ..Variants::default()
        })
        .await;
    }
}

#[tokio::test]
async fn the_id_of_a_csr_is_learned_in_every_way() {
    for import_id in [ImportId::Absent, ImportId::Number, ImportId::Text] {
        for csr_row_keys in [RowKeys::Joined, RowKeys::Spaced] {
            assert_issues(Variants {
                import_id,
                csr_row_keys,
                older_namesakes: 3,
                ..Variants::default()
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_csr_is_compared_in_every_form() {
    for csr_body in [
        CsrBody::Pem,
        CsrBody::Der,
        CsrBody::JsonPem,
        CsrBody::JsonBase64,
    ] {
        assert_issues(Variants {
            csr_body,
            ..Variants::default()
        })
        .await;
    }
}

#[tokio::test]
async fn the_envelope_is_read_in_every_spelling() {
    for variants in [
        Variants {
            name_form: NameForm::Upper,
            capital_keys: true,
            ..Variants::default()
        },
        Variants {
            operation_wrapper: true,
            details_form: DetailsForm::Object,
            ..Variants::default()
        },
        Variants {
            failure_status: 400,
            months: Months::German,
            serial_form: SerialForm::Upper,
            ..Variants::default()
        },
        Variants {
            serial_form: SerialForm::Stripped,
            csr_list_operation: None,
            import_id: ImportId::Number,
            ..Variants::default()
        },
        Variants::unkind(),
    ] {
        assert_issues(variants).await;
    }
}

#[tokio::test]
async fn every_dialect_is_spoken() {
    for (input_data, encoding, certificate_file_type) in [
        (InputData::Form, Encoding::Text, ""),
        (InputData::Query, Encoding::Plain, "CER"),
    ] {
        let mut fixture = Fixture::start(Variants::default()).await;
        fixture.settings.dialect = Dialect {
            input_data,
            csr_id: encoding,
            validity: encoding,
            is_intermediate: encoding,
            certificate_file_type: certificate_file_type.to_owned(),
        };
        fixture.settings.organization = Some("Example".to_owned());
        fixture.settings.expiry_email = Some("admin@example.com".to_owned());
        fixture.obtain().await;
        fixture.assert_ordered_once("a dialect");
    }
}
