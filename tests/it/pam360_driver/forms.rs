//! Every form that the reference leaves open: of what comes, and of what is sent.

use renewd::ca::pam360::{Dialect, Encoding, InputData};
use simulators::pam360::{
    CertificateBody, CsrBody, DetailsForm, Faces, ImportId, Months, NameForm, RowKeys, SerialForm,
};

use super::bench::Bench;

async fn assert_issues(faces: Faces) {
    let bench = Bench::start(faces).await;
    let leaf = bench.obtain().await.leaf;
    assert_eq!(leaf.public_key, bench.request.csr.public_key);
    bench.assert_ordered_once(&format!("{:?}", bench.server.faces()));
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
        assert_issues(Faces {
            certificate_body,
            ..Faces::default()
        })
        .await;
    }
}

#[tokio::test]
async fn the_id_of_a_csr_is_learned_in_every_way() {
    for import_id in [ImportId::Absent, ImportId::Number, ImportId::Text] {
        for csr_row_keys in [RowKeys::Joined, RowKeys::Spaced] {
            assert_issues(Faces {
                import_id,
                csr_row_keys,
                older_namesakes: 3,
                ..Faces::default()
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
        assert_issues(Faces {
            csr_body,
            ..Faces::default()
        })
        .await;
    }
}

#[tokio::test]
async fn the_envelope_is_read_in_every_spelling() {
    for faces in [
        Faces {
            name_form: NameForm::Upper,
            capital_keys: true,
            ..Faces::default()
        },
        Faces {
            operation_wrapper: true,
            details_form: DetailsForm::Object,
            ..Faces::default()
        },
        Faces {
            failure_status: 400,
            months: Months::German,
            serial_form: SerialForm::Upper,
            ..Faces::default()
        },
        Faces {
            serial_form: SerialForm::Stripped,
            csr_list_operation: None,
            import_id: ImportId::Number,
            ..Faces::default()
        },
        Faces::unkind(),
    ] {
        assert_issues(faces).await;
    }
}

#[tokio::test]
async fn every_dialect_is_spoken() {
    for (input_data, encoding, certificate_file_type) in [
        (InputData::Form, Encoding::Text, ""),
        (InputData::Query, Encoding::Plain, "CER"),
    ] {
        let mut bench = Bench::start(Faces::default()).await;
        bench.settings.dialect = Dialect {
            input_data,
            csr_id: encoding,
            validity: encoding,
            is_intermediate: encoding,
            certificate_file_type: certificate_file_type.to_owned(),
        };
        bench.settings.organization = Some("Example".to_owned());
        bench.settings.expiry_email = Some("admin@example.com".to_owned());
        bench.obtain().await;
        bench.assert_ordered_once("a dialect");
    }
}
