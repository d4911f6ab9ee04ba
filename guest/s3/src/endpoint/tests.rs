use super::*;
use AddressingStyle::{Auto, Path, Virtual};

fn place(endpoint: &str, bucket: &str, style: AddressingStyle) -> (bool, String, String) {
    let found = Endpoint::resolve(Some(endpoint), "us-east-1", bucket, style, AwsHosts::default()).unwrap();
    (found.https, found.authority, found.base_path)
}

fn wrong(endpoint: &str, region: &str, bucket: &str, style: AddressingStyle) -> (String, String) {
    let fault = Endpoint::resolve(Some(endpoint), region, bucket, style, AwsHosts::default())
        .expect_err(&format!("{endpoint:?} {region:?} {bucket:?} {style:?}"));
    (fault.subject.unwrap(), fault.message)
}

#[test]
fn blank_endpoint_is_the_aws_host_of_the_region() {
    for (region, bucket, style, authority, base) in [
        ("us-east-1", "demo", Auto, "demo.s3.us-east-1.amazonaws.com", ""),
        ("us-gov-west-1", "demo", Auto, "demo.s3.us-gov-west-1.amazonaws.com", ""),
        ("cn-north-1", "demo", Auto, "demo.s3.cn-north-1.amazonaws.com.cn", ""),
        ("eu-west-1", "demo", Path, "s3.eu-west-1.amazonaws.com", "/demo"),
        ("eu-west-1", "demo", Virtual, "demo.s3.eu-west-1.amazonaws.com", ""),
        // A wildcard certificate does not match a name with a dot.
        ("eu-west-1", "de.mo", Auto, "s3.eu-west-1.amazonaws.com", "/de.mo"),
    ] {
        for blank in [None, Some(""), Some("  ")] {
            let found = Endpoint::resolve(blank, region, bucket, style, AwsHosts::default()).unwrap();
            assert_eq!((found.https, found.authority.as_str(), found.base_path.as_str()), (true, authority, base));
        }
    }
}

#[test]
fn region_not_of_aws_needs_an_endpoint() {
    for region in ["garage", "auto", "EU-WEST-1", "eu.west.1", "eu-west", "us-iso-east-1", "eusc-de-east-1"] {
        let (subject, message) = wrong("", region, "demo", Auto);
        assert_eq!(subject, "region");
        assert!(message.contains("endpoint") && message.contains(region), "{message}");
        assert!(Endpoint::resolve(Some("localhost"), region, "demo", Auto, AwsHosts::default()).is_ok());
    }
}

#[test]
fn hosts_ports_and_urls_are_parsed() {
    let own = |https, authority: &str, base: &str| (https, authority.to_owned(), base.to_owned());
    for (endpoint, expected) in [
        ("s3.example.com", own(true, "s3.example.com", "/demo")),
        ("s3.example.com:9000", own(true, "s3.example.com:9000", "/demo")),
        ("s3.example.com/", own(true, "s3.example.com", "/demo")),
        ("HTTPS://S3.Example.com:443/", own(true, "s3.example.com", "/demo")),
        ("http://localhost:80", own(false, "localhost", "/demo")),
        ("http://localhost:443", own(false, "localhost:443", "/demo")),
        ("https://localhost:80", own(true, "localhost:80", "/demo")),
        ("http://127.0.0.1:9000", own(false, "127.0.0.1:9000", "/demo")),
        ("http://[::1]:9000", own(false, "[::1]:9000", "/demo")),
        ("[0:0::1]", own(true, "[::1]", "/demo")),
        ("http://my_minio:9000/a/b//", own(false, "my_minio:9000", "/a/b/demo")),
        (" http://localhost:9000 ", own(false, "localhost:9000", "/demo")),
        ("s3.eu-west-1.amazonaws.com", own(true, "demo.s3.eu-west-1.amazonaws.com", "")),
    ] {
        assert_eq!(place(endpoint, "demo", Auto), expected, "{endpoint}");
    }
}

#[test]
fn virtual_style_puts_the_bucket_in_the_host_name() {
    let own = |https, authority: &str, base: &str| (https, authority.to_owned(), base.to_owned());
    assert_eq!(place("http://localhost:9000", "demo", Virtual), own(false, "demo.localhost:9000", ""));
    assert_eq!(place("https://example.com/s3", "demo", Virtual), own(true, "demo.example.com", "/s3"));
    assert_eq!(place("http://example.com", "de.mo", Virtual), own(false, "de.mo.example.com", ""));
    for (endpoint, bucket) in [
        ("http://127.0.0.1:9000", "demo"),
        ("http://[::1]", "demo"),
        ("https://example.com", "de.mo"),
        ("https://example.com", "Demo"),
        ("http://example.com", "de_mo"),
    ] {
        let (subject, message) = wrong(endpoint, "us-east-1", bucket, Virtual);
        assert_eq!(subject, "addressing-style");
        assert!(message.contains("use path"), "{message}");
    }
}

#[test]
fn invalid_endpoint_is_rejected() {
    for endpoint in [
        "ftp://127.0.0.1",
        "http://",
        "https:///a",
        ":9000",
        "http://127.0.0.1/?a=b",
        "http://h/#x",
        "h?x",
        "a b",
        "http://127.0.0.1:99999",
        "h:0",
        "h:",
        "h:+80",
        "h:80:90",
        "::1",
        "[::1",
        "[::1]9",
        "[fe80::1%25eth0]",
        "[1.2.3.4]",
        "h_\u{e9}",
        "-h",
        "h-",
        "a..b",
        "h.",
        ".h",
        "1.2.3",
        "256.1.1.1",
        "http://h/a%2Fb",
        "http://h/a//b",
        "http://h/../a",
        "http://h/./a",
        "http://h/a b",
        "h\\x",
        "h\r\nx: y",
        "http://http://h",
        "https//h",
        "*.example.com",
    ] {
        assert_eq!(wrong(endpoint, "us-east-1", "demo", Auto).0, "endpoint", "{endpoint:?}");
    }
    let long = "n.".repeat(127) + "com";
    assert_eq!(wrong(&long, "us-east-1", "demo", Auto).0, "endpoint");
}

#[test]
fn error_does_not_repeat_a_password_in_the_endpoint() {
    for endpoint in ["https://user:hunter2@example.com", "user:hunter2@h:1", "http://hunter2@h/p"] {
        let (subject, message) = wrong(endpoint, "us-east-1", "demo", Auto);
        assert_eq!(subject, "endpoint");
        assert!(!message.contains("hunter2") && message.contains("secret-key"), "{message}");
    }
}

#[test]
fn aws_endpoint_with_the_bucket_in_it_is_rejected() {
    let (subject, message) = wrong("https://demo.s3.eu-west-1.amazonaws.com", "eu-west-1", "demo", Auto);
    assert_eq!(subject, "endpoint");
    assert!(message.contains("\"s3.eu-west-1.amazonaws.com\""), "{message}");
}

#[test]
fn upper_case_and_underscore_are_valid_only_on_other_services() {
    assert_eq!(place("http://localhost", "My_Bucket", Auto).2, "/My_Bucket");
    assert_eq!(wrong("", "us-east-1", "My_Bucket", Auto).0, "bucket");
}

#[test]
fn object_path_is_not_normalized() {
    let by_path =
        Endpoint::resolve(Some("http://localhost:9000/p"), "us-east-1", "demo", Path, AwsHosts::default()).unwrap();
    let by_host =
        Endpoint::resolve(Some("http://localhost:9000"), "us-east-1", "demo", Virtual, AwsHosts::default()).unwrap();
    for (key, path) in [
        ("a b", "/a%20b"),
        ("/", "//"),
        ("..", "/.."),
        ("a/./b//", "/a/./b//"),
        ("é?#%", "/%C3%A9%3F%23%25"),
        ("\0", "/%00"),
    ] {
        assert_eq!(by_path.object_path(key), format!("/p/demo{path}"));
        assert_eq!(by_host.object_path(key), path);
        // The crate http, used by all HTTP clients here, does not normalize it.
        let uri: http::Uri = format!("http://h{path}").parse().unwrap();
        assert_eq!(uri.path(), path);
    }
}

#[test]
fn displayed_endpoint_omits_the_bucket() {
    let shown = |style| {
        Endpoint::resolve(Some("http://localhost:9000/p"), "us-east-1", "demo", style, AwsHosts::default())
            .unwrap()
            .display
    };
    assert_eq!(shown(Path), "http://localhost:9000/p");
    assert_eq!(shown(Virtual), "http://localhost:9000/p");
}

#[test]
fn dual_stack_fips_and_accelerate_select_the_host() {
    let hosts = |dual_stack, fips, accelerate| AwsHosts { dual_stack, fips, accelerate };
    let of = |region, hosts| Endpoint::resolve(None, region, "demo", Auto, hosts);
    for (region, hosts, authority) in [
        ("eu-west-1", hosts(true, false, false), "demo.s3.dualstack.eu-west-1.amazonaws.com"),
        ("us-east-2", hosts(false, true, false), "demo.s3-fips.us-east-2.amazonaws.com"),
        ("us-gov-west-1", hosts(true, true, false), "demo.s3-fips.dualstack.us-gov-west-1.amazonaws.com"),
        ("eu-west-1", hosts(false, false, true), "demo.s3-accelerate.amazonaws.com"),
        ("eu-west-1", hosts(true, false, true), "demo.s3-accelerate.dualstack.amazonaws.com"),
        ("cn-north-1", hosts(true, false, false), "demo.s3.dualstack.cn-north-1.amazonaws.com.cn"),
    ] {
        let found = of(region, hosts).unwrap();
        assert_eq!((found.authority.as_str(), found.base_path.as_str(), found.aws), (authority, "", true));
    }
    let subject = |found: Result<Endpoint, Failure>| found.unwrap_err().subject.unwrap();
    assert_eq!(subject(of("cn-north-1", hosts(false, true, false))), "fips");
    assert_eq!(subject(of("cn-north-1", hosts(false, false, true))), "accelerate");
    assert_eq!(subject(of("eu-west-1", hosts(false, true, true))), "accelerate");
    let accelerate = hosts(false, false, true);
    assert_eq!(subject(Endpoint::resolve(None, "eu-west-1", "de.mo", Auto, accelerate)), "accelerate");
    assert_eq!(subject(Endpoint::resolve(None, "eu-west-1", "demo", Path, accelerate)), "accelerate");
    let elsewhere = Endpoint::resolve(Some("localhost"), "eu-west-1", "demo", Auto, hosts(true, false, false));
    assert_eq!(subject(elsewhere), "dual-stack");
}

#[test]
fn access_point_arn_resolves_to_its_host() {
    let of = |arn, hosts| Endpoint::resolve(None, "us-east-1", arn, Auto, hosts);
    let (plain, all) = (AwsHosts::default(), AwsHosts { dual_stack: true, fips: true, accelerate: false });
    for (arn, hosts, authority, region) in [
        (
            "arn:aws:s3:us-west-2:123456789012:accesspoint/my-point",
            plain,
            "my-point-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
            "us-west-2",
        ),
        (
            "arn:aws:s3:us-west-2:123456789012:accesspoint:my-point",
            all,
            "my-point-123456789012.s3-accesspoint-fips.dualstack.us-west-2.amazonaws.com",
            "us-west-2",
        ),
        (
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/p",
            plain,
            "p-123456789012.s3-accesspoint.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
        ),
    ] {
        let found = of(arn, hosts).unwrap();
        assert_eq!((found.authority.as_str(), found.region.as_deref()), (authority, Some(region)), "{arn}");
        assert_eq!((found.base_path.as_str(), found.https, found.aws), ("", true, true));
    }
    for (arn, why) in [
        ("arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/p", "Outposts"),
        ("arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/p", "Object Lambda"),
        ("arn:aws:s3express:us-west-2:123456789012:bucket/b--usw2-az1--x-s3", "directory buckets"),
        ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "SigV4A"),
        ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw", "SigV4A"),
        ("arn:aws:s3:::bucket", "accesspoint"),
        ("arn:aws:sqs:us-west-2:123456789012:accesspoint/p", "something else"),
        ("arn:aws:s3:cn-north-1:123456789012:accesspoint/p", "partition"),
        ("arn:aws:s3:us-west-2:12345:accesspoint/p", "account"),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/p/object/k", "name"),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/evil.example.com", "name"),
        ("arn:", "access point"),
    ] {
        let fault = of(arn, plain).unwrap_err();
        assert_eq!(fault.subject.as_deref(), Some("bucket"), "{arn}");
        assert!(fault.message.contains(why), "{}", fault.message);
    }
    let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/p";
    assert!(Endpoint::resolve(None, "us-west-2", arn, Path, plain).is_err());
    assert!(Endpoint::resolve(Some("localhost"), "us-west-2", arn, Auto, plain).is_err());
}

#[test]
fn unsupported_kinds_of_buckets_are_rejected() {
    for bucket in ["demo--use1-az4--x-s3", "p--ol-s3", "p--op-s3", "p.mrap", "demo--table-s3"] {
        let (subject, message) = wrong("", "us-east-1", bucket, Auto);
        assert_eq!(subject, "bucket");
        assert!(message.contains("not supported"), "{message}");
    }
    assert!(Endpoint::resolve(None, "us-east-1", "p-s3alias", Auto, AwsHosts::default()).is_ok());
}
